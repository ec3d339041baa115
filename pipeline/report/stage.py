"""Stage `report`: compare the configured runs, choose a rate, say why, and draw it all."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import params
from pipeline.core import arrays, files, run_keys, tables
from pipeline.core import runs as run_folders
from pipeline.core.errors import RunError
from pipeline.core.runs import Run
from pipeline.params import Params, target_column
from pipeline.range_test.rules import Suggestion
from pipeline.report import page
from pipeline.report.analysis import comparison, grid, mcnemar, speed, verdict
from pipeline.report.analysis.verdict import Setting, Verdict
from pipeline.report.charts import gallery, svg
from pipeline.report.page import Content, Drawing, Origin
from pipeline.report.text import metrics, range_test_words, reasons, summary


class Ramp(NamedTuple):
    """Stage `range_test`'s outputs: rates (steps,), smoothed losses (seeds, steps), suggestions by rule."""

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    suggestions: dict[str, Suggestion]


_ARRAYS = ("train", "validation", "test")


def report(scaled: Path, runs: Path, report: Path, range_test: Path | None = None) -> None:
    """Write index.html, comparison.csv, curves.csv, verdict.json, summary.md and figures/ into `report`.

    Reads exactly the runs that params.yaml configures; nothing is written before all of it is made.

    Args:
        range_test: the folder that stage `range_test` wrote, to be held against the study.

    Raises:
        ParamsError: params.yaml cannot be worked with.
        RunError: a configured run is missing, damaged or was made with other parameters.
        DataError: the test labels are missing or damaged.
    """
    study = params.load()
    labels = _labels(scaled, "test")
    held_out = len(_labels(scaled, "validation")) or len(labels)
    found = [
        _check(run_folders.read(runs, rate, seed), study, len(labels))
        for rate in sorted(study.train.learning_rates)
        for seed in sorted(study.train.seeds)
    ]
    table = comparison.compare(found, study.report)
    chosen_on = "validation" if study.data.validation_size else "test"
    setting = Setting(study.data.dataset, study.train.epochs, chosen_on, held_out)
    decision = verdict.decide(table, study.report, setting)
    tested = mcnemar.check_on_test(decision, _right(found, labels))
    words = reasons.explain(decision, tested)
    advice = grid.advise(
        study.train.learning_rates,
        study.train.seeds,
        study.train.epochs,
        decision.learning_rate,
        decision.near,
        improving=decision.improving,
        coarse_ratio=study.report.coarse_ratio,
    )
    ramp = _read_ramp(range_test) if range_test else None
    drawings = list(_draw(decision, found, ramp))
    content = Content(
        decision,
        words,
        advice,
        study.report,
        table,
        tested,
        _reach(table, study),
        _winners(found, study, held_out),
        drawings,
        _origin(scaled, study),
        range_test_words.explain(ramp.suggestions, decision) if ramp else None,
    )
    html = page.render(content)
    texts: dict[str, Any] = {
        "headline": words.headline,
        "detail": [words.detail],
        "warnings": list(words.warnings),
        "reasons": list(words.reasons),
        "advice": [*advice.findings, *advice.lines.splitlines()],
    }
    if ramp and content.range_test:
        texts["range_test"] = {
            rule.replace(" / ", "_"): {
                "suggests": float(f"{one.median:.3g}"),
                "agrees": content.range_test.agreements[rule].agrees,
            }
            for rule, one in ramp.suggestions.items()
        }
    markdown = summary.render(decision, words, advice)

    with files.replacing_folder(report / "figures") as folder:
        for drawing in drawings:
            files.write_text(folder / f"{drawing.name}.svg", drawing.svg)
    tables.write(report / "comparison.csv", table)
    tables.write(report / "curves.csv", comparison.curves(found))
    files.write_json(report / "verdict.json", metrics.render(decision, texts, tested))
    files.write_text(report / "summary.md", markdown)
    files.write_text(report / "index.html", html)


def _labels(scaled: Path, part: str) -> NDArray[np.intp]:
    labels: NDArray[np.intp] = arrays.read(scaled / f"{part}_labels.npy", np.float32, (None, 10)).argmax(
        axis=1
    )
    return labels


def _check(run: Run, study: Params, test_images: int) -> Run:
    """Refuse a run that this params.yaml would not have made."""
    expected = {
        "dataset": study.data.dataset,
        "epochs_configured": study.train.epochs,
        "validation_data": "validation" if study.data.validation_size else "test",
    }
    got = {key: run.metrics.get(key) for key in expected}
    if got != expected:
        raise RunError(
            f"The run with learning rate {run.learning_rate} and seed {run.seed}: expected {expected}, as "
            f"params.yaml says, got {got}. Run `dvc repro` to train it again."
        )
    if len(run.predictions) != test_images:
        raise RunError(
            f"The run with learning rate {run.learning_rate} and seed {run.seed}: expected a prediction for "
            f"each of {test_images} test images, got {len(run.predictions)}. Run `dvc repro` to train it "
            "again."
        )
    return run


def _read_ramp(folder: Path) -> Ramp:
    table = tables.read(folder / "range_test.csv", ("seed", "step", "learning_rate", "smoothed"))
    wide = table.pivot_table(index="seed", columns="learning_rate", values="smoothed", dropna=False)
    found = files.read_json(folder / "suggestions.json")
    suggestions = {rule: Suggestion(**numbers) for rule, numbers in found.items()}
    return Ramp(wide.columns.to_numpy(np.float64), wide.to_numpy(np.float64), suggestions)


def _right(found: list[Run], labels: NDArray[np.intp]) -> dict[float, NDArray[np.bool_]]:
    """For each rate, shape (seeds, test images): whether the run classifies the image right."""
    rates = sorted({run.learning_rate for run in found})
    return {
        rate: np.stack([run.predictions == labels for run in found if run.learning_rate == rate])
        for rate in rates
    }


def _draw(decision: Verdict, found: list[Run], ramp: Ramp | None) -> Iterator[Drawing]:
    histories = {
        rate.learning_rate: [run.history for run in found if run.learning_rate == rate.learning_rate]
        for rate in decision.rates
    }
    charts = [gallery.charts(decision, histories, reasons.criterion(decision))]
    if ramp:
        medians = {rule: one.median for rule, one in ramp.suggestions.items()}
        charts.append(gallery.range_charts(ramp.rates, ramp.losses, medians, decision.learning_rate))
    for chart in itertools.chain(*charts):
        yield Drawing(chart.name, chart.group, chart.title, chart.description, svg.to_text(chart.figure))


def _reach(table: pd.DataFrame, study: Params) -> dict[float, list[speed.Reach]]:
    columns = [target_column(target) for target in study.report.accuracy_targets]
    found = {}
    for rate in study.train.learning_rates:
        own = table[table["learning_rate"] == rate]
        found[rate] = [speed.reach(own[column].to_numpy(np.float64)) for column in columns]
    return found


def _winners(found: list[Run], study: Params, held_out: int) -> tuple[speed.Winner, ...]:
    runs = [
        [run for run in found if run.learning_rate == rate] for rate in sorted(study.train.learning_rates)
    ]
    accuracies = [[run.history["val_accuracy"].to_numpy(np.float64) for run in rate] for rate in runs]
    diverged = {
        budget: np.array(
            [[comparison.has_diverged(run, study.report, budget) for run in rate] for rate in runs]
        )
        for budget in study.report.budgets
    }
    return speed.winners(
        accuracies,
        study.report.budgets,
        best_epoch=study.report.criterion == "best_epoch",
        resolution=1 / held_out,
        confidence=study.report.confidence,
        diverged=diverged,
        diverged_share=study.report.diverged_share,
    )


def _origin(scaled: Path, study: Params) -> Origin:
    values = study.values()
    del values["data"]["mirrors"]  # where bytes come from does not change them
    pins = [pin.partition("==") for pin in run_keys.pinned_packages()]
    names = [f"{part}_{kind}.npy" for part in _ARRAYS for kind in ("images", "labels")]
    return Origin(
        list(_flat(values)),
        [(name, files.sha256(scaled / name)) for name in names],
        [(name, version) for name, _, version in pins],
    )


def _flat(values: dict[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)
