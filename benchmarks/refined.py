"""How many runs `refine` needs, and what it finds, against a full grid: `python -m benchmarks.refined`.

Its steps (`pipeline.refine.steps`) are replayed on the studies of `benchmarks.verdicts`, as far as their rates
go. The epochs are those that were recorded: no step asks for more.
"""

import argparse
import itertools
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks import record, verdicts
from benchmarks.verdicts import Row, Source
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
FEW = (0.1, 0.01, 0.001, 0.0001)


class Design(NamedTuple):
    """How runs are spent: rates and seeds to begin with, and the budget; no rates for all of the study's."""

    name: str
    rates: tuple[float, ...] = ()
    seeds: int = 3
    budget: float = np.inf


DESIGNS = (
    Design("full grid, 5 seeds", seeds=5, budget=0),
    Design("`refine` from 4 rates, half as many runs at most", FEW, budget=20),
    Design("`refine` from 4 rates, as many runs at most", FEW, budget=40),
    Design("`refine` from 4 rates, to its end", FEW),
    Design("`refine` from 3 rates with one seed, to its end", FEW[:2] + FEW[3:], seeds=1),
    Design("`refine` from the full grid, to its end"),
)


def play(values: Floats, source: Source, design: Design) -> tuple[Verdict, int]:
    """Take the steps from the design's beginning to the budget or the end; return the last verdict and the runs.

    Args:
        values: shape (rates, seeds), what each run would reach.
    """
    study = setting(source)
    known = {
        (rate, seed): value
        for rate, row in zip(source.rates, values, strict=True)
        for seed, value in enumerate(row)
    }
    trained = set[tuple[float, int]]()
    rates: Sequence[float] = design.rates or source.rates.tolist()
    seeds: Sequence[int] = range(design.seeds)
    while True:
        wanted = set(itertools.product(rates, seeds))
        if trained and len(trained | wanted) > max(design.budget, 1):
            return decision, len(trained)
        trained |= wanted
        decision = verdict.decide(table({run: known[run] for run in wanted}), study)
        advice = grid.advise(decision, study.params.report.coarse_ratio)
        recorded = tuple(rate for rate in advice.rates or () if rate in source.rates)
        advice = advice._replace(rates=recorded if len(recorded) > len(rates) else None)
        step = next_step(decision, advice)
        if not step:
            return decision, len(trained)
        rates, seeds = step.learning_rates, step.seeds


def table(runs: dict[tuple[float, int], float]) -> pd.DataFrame:
    """Make the table that the report would have of these runs."""
    rows = [(rate, seed, value, value) for (rate, seed), value in runs.items()]
    columns = ["learning_rate", "seed", "best_val_accuracy", "final_val_accuracy"]
    rest = {"test_accuracy": np.nan, "roughness": np.nan, "rising_share": np.nan, "health": "converged"}
    return pd.DataFrame(rows, columns=columns).assign(**rest)


def setting(source: Source) -> Setting:
    study = params.load(record.ROOT / "params.yaml")
    report = study.report.model_copy(update={"margin": source.margin})
    task = Task("digits", (8, 8, 1), tuple("0123456789"), GREY_LEVELS, {"validation": round(1 / source.step)})
    return Setting(task, study.model_copy(update={"report": report}))


def refined(studies: int) -> list[Row]:
    """Compare the designs."""
    rows = []
    digits = list(verdicts.sources())
    for source in (
        digits[0],
        digits[2],
        verdicts.recorded("digits", 0.002, 0.005, 0.02, 0.05, last=True),
        verdicts.EQUAL,
    ):
        values, _ = source.runs(studies, LOOKS[-1] + 1, np.random.default_rng(3))
        for design in DESIGNS:
            if source is verdicts.EQUAL and design.rates:
                continue  # whose rates are others
            ends = [play(study[:, :-1], source, design) for study in values]
            rows.append(
                {"studies": source.name, "design": design.name} | describe(source, values[..., -1], ends)
            )
    return rows


def describe(source: Source, new: Floats, ends: Sequence[tuple[Verdict, int]]) -> Row:
    """Hold the last verdicts against the truth, and against what the next seed reaches at the rates chosen."""
    chosen = np.array([source.rates.tolist().index(end.learning_rate) for end, _ in ends])
    best = source.rates[source.means.argmax()]
    kept = [
        any(rate.learning_rate == best and rate.status not in (WORSE, DIVERGED) for rate in end.rates)
        for end, _ in ends
    ]
    lost = source.means.max() - source.means[chosen]
    reached = np.sort(new[np.arange(len(ends)), chosen])
    runs = [count for _, count in ends]
    return {
        "runs, mean": f"{np.mean(runs):.0f}",
        "nine of ten need at most": f"{np.quantile(runs, 0.9):.0f}",
        "settled": f"{100 * np.mean([end.settled for end, _ in ends]):.0f} %",
        "best kept": f"{100 * np.mean(kept):.1f} %",
        "choice as good as the best": f"{100 * np.mean(lost < source.margin):.1f} %",
        "points lost": f"{100 * lost.mean():.3f}",
        "worst tenth of a new run": f"{100 * reached[: len(ends) // 10].mean():.2f} %",
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refined", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--studies", type=int, default=400, help="of each kind (400)")
    studies = parser.parse_args().studies
    with threadpool_limits(1):
        content = {"studies": studies, "refined": refined(studies)}
    files.write_text(RESULTS, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
