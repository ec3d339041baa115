"""What `refine` finds with how many runs, against a full grid: `python -m benchmarks.refined`.

The steps of `pipeline.refine.steps` are replayed on studies of `benchmarks.verdicts`, as far as their rates
go; the epochs are those that were recorded. The table goes into docs/results/refined.json.
"""

import argparse
import itertools
import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks import record
from benchmarks.verdicts import DECADES, EQUAL, HALF_DECADES, Row, Source, recorded
from pipeline import params
from pipeline.core import files
from pipeline.core.task import GREY_LEVELS, Task
from pipeline.refine.steps import next_step
from pipeline.report.analysis import grid, verdict
from pipeline.report.analysis.setting import Setting
from pipeline.report.analysis.statistics import LOOKS, Floats
from pipeline.report.analysis.status import DIVERGED, WORSE
from pipeline.report.analysis.verdict import Verdict

RESULTS = record.RESULTS / "refined.json"


class Design(NamedTuple):
    """How runs are spent.

    Attributes:
        rates: to begin with; none for all of the source's.
        share: of the runs that the full grid with 5 seeds takes, the budget.
        drops: whether rates that are worse get no more runs.
    """

    name: str
    rates: tuple[float, ...] = ()
    seeds: int = 3
    share: float = np.inf
    drops: bool = True


DESIGNS = (
    Design("full grid, 5 seeds", seeds=5, share=1),
    Design("`refine` from 4 rates, half as many runs at most", DECADES, share=0.5),
    Design("`refine` from 4 rates, as many runs at most", DECADES, share=1),
    Design("full grid, seeds until settled", drops=False),
    Design("`refine` from the full grid until settled"),
    Design("`refine` from 4 rates until settled", DECADES),
)


def sources() -> Iterator[Source]:
    yield recorded("mnist")
    yield recorded("digits")
    yield recorded("digits", *HALF_DECADES)
    yield recorded("digits", *HALF_DECADES, epochs=8)
    yield recorded("digits", *HALF_DECADES, last=True)
    yield EQUAL


def play(values: Floats, source: Source, study: Setting, design: Design) -> tuple[Verdict, int]:
    """Take a design's steps to its end, or its budget's; return the last verdict and the number of runs.

    Args:
        values: shape (rates, seeds), what each run would reach.
    """
    trained = set[tuple[float, int]]()
    rates: Sequence[float] = design.rates or source.rates.tolist()
    seeds: Sequence[int] = range(design.seeds)
    while True:
        trained |= set(itertools.product(rates, seeds))
        decision = verdict.decide(table(values, source, rates, seeds), study)
        advice = grid.advise(decision, study.params.report.coarse_ratio)
        known = tuple(rate for rate in advice.rates or () if rate in source.rates)
        step = next_step(decision, advice._replace(rates=known if len(known) > len(rates) else None))
        if not step:
            return decision, len(trained)
        rates, seeds = step.learning_rates if design.drops else rates, step.seeds
        if len(trained.union(itertools.product(rates, seeds))) > design.share * 5 * len(values):
            return decision, len(trained)


def table(values: Floats, source: Source, rates: Sequence[float], seeds: Sequence[int]) -> pd.DataFrame:
    """Make the table that the report would have of these runs."""
    index = np.searchsorted(source.rates, sorted(rates))
    reached = values[np.ix_(index, seeds)].ravel()
    columns = {
        "learning_rate": source.rates[index].repeat(len(seeds)),
        "seed": np.tile(seeds, len(rates)),
        "best_val_accuracy": reached,
        "final_val_accuracy": reached,
        "health": "converged",
    }
    return pd.DataFrame(columns | dict.fromkeys(("test_accuracy", "roughness", "rising_share"), np.nan))


def setting(source: Source) -> Setting:
    study = params.load(record.ROOT / "params.yaml")
    report = study.report.model_copy(update={"margin": source.margin})
    task = Task("digits", (8, 8, 1), tuple("0123456789"), GREY_LEVELS, {"validation": round(1 / source.step)})
    return Setting(task, study.model_copy(update={"report": report}))


def refined(studies: int) -> list[Row]:
    """Compare the designs."""
    rows = []
    for source in sources():
        study = setting(source)
        values, _ = source.runs(studies, LOOKS[-1] + 1, np.random.default_rng(3))
        for design in DESIGNS:
            if {*design.rates} <= {*source.rates}:
                ends = [play(drawn[:, :-1], source, study, design) for drawn in values]
                row = describe(source, values[..., -1], ends)
                rows.append({"studies": source.name, "design": design.name} | row)
    return rows


def describe(source: Source, new: Floats, ends: Sequence[tuple[Verdict, int]]) -> Row:
    """Hold the last verdicts against the truth, and against what the next seed reaches where they say."""
    last, runs = [end for end, _ in ends], [count for _, count in ends]
    chosen = np.array([source.rates.tolist().index(end.learning_rate) for end in last])
    best = source.rates[source.means.argmax()]
    kept = [best in end.grid and end.rate(best).status not in (WORSE, DIVERGED) for end in last]
    lost = source.means.max() - source.means[chosen]
    reached = np.sort(new[np.arange(len(ends)), chosen])
    return {
        "runs, mean": f"{np.mean(runs):.0f}",
        "settled": f"{100 * np.mean([end.settled for end in last]):.0f} %",
        "best kept": f"{100 * np.mean(kept):.1f} %",
        "choice as good as the best": f"{100 * np.mean(lost < source.margin):.1f} %",
        "points lost": f"{100 * lost.mean():.3f}",
        "worst tenth of new runs": f"{100 * reached[: len(ends) // 10].mean():.2f} %",
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refined", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--studies", type=int, default=100, help="of each kind (100)")
    studies = parser.parse_args().studies
    with threadpool_limits(1):  # of small matrices, threads would only wait for each other
        content = {"studies": studies, "refined": refined(studies)}
    files.write_text(RESULTS, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
