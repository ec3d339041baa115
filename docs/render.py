"""Write what README and docs say of results, from the files that hold them: `make docs`.

cog runs the blocks in the Markdown; each calls a function of this module, which prints what stands below it.
`docs/results/` keeps results that are neither in `report/` nor in `docs/benchmarks.json`.
"""

import csv
import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cogapp import Cog

from benchmarks import record, sweep

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = ("-P", "-p", "from docs import render")
"""Of cog: blocks print, and know this module."""
SOURCE, PICTURE = "report/figures/response.svg", "docs/images/default-response.svg"


def main() -> int:
    """Render every page that has a block, and copy README's picture if the report is here."""
    if (ROOT / SOURCE).exists():
        shutil.copyfile(ROOT / SOURCE, ROOT / PICTURE)
    else:
        print(f"{PICTURE} stays: there is no {SOURCE}. `dvc pull` or `dvc repro` brings it.", file=sys.stderr)
    return render(*pages())


def render(*names: str) -> int:
    """Run the blocks of these pages; return the exit code."""
    return int(Cog().main(["cog", "-r", "--verbosity=1", *OPTIONS, *(str(ROOT / name) for name in names)]))


def pages() -> list[str]:
    """List the pages that have a block."""
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [str(page.relative_to(ROOT)) for page in documents if "[[[cog" in page.read_text(encoding="utf-8")]


def study() -> None:
    """Print the picture, the verdict and the table of the study in `report/`, and what its runs take."""
    headline, detail, rows = _summary("report/summary.md")
    made = _json("report/verdict.json")
    runs = len(made["rates"]) * made["seeds"]
    size = f"{runs} runs of {made['epochs']} epochs"
    if made["dataset"] == "mnist":  # the benchmarks' images
        measured = _json("docs/benchmarks.json")
        process = measured["tables"]["A train stage as a whole process"]
        outside, epoch = (float(row["median"].split()[0]) for row in process[:2])
        seconds = outside + made["epochs"] * epoch
        size += f", some {seconds:.0f} seconds each on {measured['machine']['cores']} cores"
        size += f", {runs * seconds / 60:.0f} minutes in all ([benchmarks](docs/benchmarks.md))"
    criterion = rows[0].split("|")[3].strip().capitalize()
    _print(f"![{criterion} over the learning rate, with intervals]({PICTURE})")
    _print(f"**{headline}** {detail} {size}:")
    _print(*rows)


def verdict(summary: str) -> None:
    """Print the verdict that opens a study's summary.md."""
    headline, detail, _ = _summary(summary)
    _print(f"The report's verdict, in its own words: *{headline} {detail}*")


def rates(summary: str) -> None:
    """Print the table of rates of a study's summary.md."""
    _print(*_summary(summary)[2])


def log(path: str) -> None:
    """Print what commands said."""
    _print("```console\n" + (ROOT / path).read_text(encoding="utf-8") + "```")


def recorded(table: str) -> None:
    """Print mean and spread of each rate of a recorded study, in the order of the rates."""
    runs = record.read(record.RESULTS / f"runs-{table}.csv")
    curves = runs.filter(regex="^epoch_")
    best, last = (
        values.groupby("learning_rate").agg(["size", "mean", "min"])
        for values in (curves.max(axis=1), curves.iloc[:, -1])
    )
    _print_table(
        {
            "learning rate": rate,
            "runs": best["size"][rate],
            "best, mean": _percent(best["mean"][rate]),
            "best, worst run": _percent(best["min"][rate]),
            "last epoch, mean": _percent(last["mean"][rate]),
            "last epoch, worst run": _percent(last["min"][rate]),
        }
        for rate in best.index
    )


def runs(comparison: str) -> None:
    """Print a row per run of a comparison.csv, for a study that was judged by the test images."""
    with (ROOT / comparison).open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    _print_table(
        {
            "learning rate": row["learning_rate"],
            "test accuracy, last epoch": _percent(row["final_val_accuracy"]),
            "best epoch": _percent(row["best_val_accuracy"]),
            "epochs to 98 %": row["epochs_to_98"].removesuffix(".0") or "–",
            "training loss, last epoch": f"{float(row['final_loss']):.2g}",
            "roughness": f"{float(row['roughness']):.2f}",
            "epochs with rising loss": _percent(row["rising_share"], 0),
            "health": row["health"],
        }
        for row in table
    )


def sweep_saves() -> None:
    """Print how long whole studies take by `dvc repro` and by a sweep."""
    _print_table(
        {
            "study": row["study"],
            "`dvc repro`": f"{row['dvc_repro']} s",
            "sweep": f"{row['sweep']} s",
            "times as fast": f"{row['dvc_repro'] / row['sweep']:.2f}",
            "command": f"`python -m benchmarks.sweep {row['command']}`",
        }
        for row in _json("docs/results/sweep.json")["whole_studies"]
    )


def sweep_costs() -> None:
    """Print what recording the runs of a sweep takes."""
    _print_table(
        {
            "runs": f"{row['runs']:,}",
            "recording all": f"{row['recording']} s",
            "for each run": f"{1000 * row['recording'] / row['runs']:.0f} ms",
            "with nothing to do": f"{row['nothing_to_do']} s",
        }
        for row in _json("docs/results/sweep.json")["recording"]
    )


def sweep_model() -> None:
    """Simulate 10,000 runs on 100 nodes, short ones and longer ones, and print the seconds."""
    key = "seconds of a run's epochs"
    columns = {
        f"seconds, {epochs} s of epochs a run": sweep.simulate(10_000, 100, sweep.COSTS | {key: epochs})
        for epochs in (10, 60)
    }
    names = ("training alone, no overhead", "training ends", "last output recorded", "dvc.lock written")
    _print_table(
        {"": name} | {column: f"{seconds[name]:.0f}" for column, seconds in columns.items()} for name in names
    )


def verdicts(name: str, file: str = "verdicts") -> None:
    """Print a table of one of the files that benchmarks of the verdict write."""
    made = _json(f"docs/results/{file}.json")
    _print(f"{made['studies']:,} studies of each kind:" if "studies" in made else f"{made['seeds']} seeds:")
    _print_table(made[name])


def benchmarks() -> None:
    """Print the machine and the tables of docs/benchmarks.json."""
    measured = _json("docs/benchmarks.json")
    _print(f"Medians of {measured['rounds']} rounds, on this machine:")
    _print(*(f"- {name}: {value}" for name, value in measured["machine"].items()))
    for title, rows in measured["tables"].items():
        print(f"\n## {title}")
        _print_table(rows)


def _summary(path: str) -> tuple[str, str, list[str]]:
    """Read a summary.md's headline, the sentence below it, and the lines of its table."""
    text = (ROOT / path).read_text(encoding="utf-8")
    headline, detail = text.split("\n\n")[:2]
    table = [line for line in text.splitlines() if line.startswith("|")]
    return headline.removeprefix("## "), detail.strip(), table


def _json(path: str) -> Any:
    return json.loads((ROOT / path).read_text(encoding="utf-8"))


def _percent(share: str | float, digits: int = 2) -> str:
    return f"{100 * float(share):.{digits}f} %"


def _print_table(rows: Iterable[Mapping[str, object]]) -> None:
    """Print a table; columns of numbers stand to the right."""
    rows = list(rows)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    cells = [[str(row.get(column, "")) for column in columns] for row in rows]
    numbers = [all(re.match(r"\d|–|$", cell) for cell in column) for column in zip(*cells, strict=True)]
    aligned = ["--:" if right else ":--" for right in numbers]
    _print(*(f"| {' | '.join(line)} |" for line in (columns, aligned, *cells)))


def _print(*lines: str) -> None:
    """Print a block of Markdown, after the empty line that ends the block before it."""
    print("", *lines, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
