"""Made-up tables, runs and verdicts for the report's tests."""

import math

import numpy as np
import pandas as pd

from pipeline import params
from pipeline.core.runs import Run
from pipeline.core.task import GREY_LEVELS, Task
from pipeline.report.analysis import grid, verdict
from pipeline.report.analysis.analyse import Analysis
from pipeline.report.analysis.mcnemar import Discordance
from pipeline.report.analysis.setting import Setting
from pipeline.report.analysis.status import CHOSEN, DIVERGED, NOT_DISTINGUISHABLE, UNKNOWN, WORSE
from pipeline.report.analysis.verdict import Verdict
from pipeline.report.text.statement import Statement, compose
from tests.conftest import ROOT
from tests.report.conftest import history

TASK = Task(
    "mnist",
    (28, 28, 1),
    tuple("0123456789"),
    GREY_LEVELS,
    {"train": 55000, "validation": 5000, "test": 10000},
)


SETTING = Setting(TASK, params.load(ROOT / "params.yaml"))


def setting_with(section: str, **values: object) -> Setting:
    """The setting of params.yaml, with these values in one of its sections."""
    changed = getattr(SETTING.params, section).model_copy(update=values)
    return SETTING._replace(params=SETTING.params.model_copy(update={section: changed}))


NAN = math.nan


def table(best: dict[float, list[float]], final: dict[float, list[float]] | None = None) -> pd.DataFrame:
    """Make a comparison with these criteria, one row a run."""
    rows = [
        {
            "learning_rate": rate,
            "seed": seed,
            "best_val_accuracy": value,
            "final_val_accuracy": (final or best)[rate][seed],
            "test_accuracy": value - 0.001,
            "roughness": 0.1,
            "rising_share": 0.2,
            "health": "diverged" if math.isnan(value) else "converged",
        }
        for rate, values in best.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def decide(
    best: dict[float, list[float]],
    final: dict[float, list[float]] | None = None,
    setting: Setting = SETTING,
) -> Verdict:
    """Decide on a comparison with these criteria."""
    return verdict.decide(table(best, final), setting)


STUDY = {
    0.3: [NAN, 0.9, NAN],
    0.1: [0.955, 0.96, 0.951],
    0.01: [0.9838, 0.9846, 0.9836],
    0.001: [0.984, 0.9842, 0.9844],
    0.0001: [0.970, 0.9712, 0.9708],
}


def statuses(decision: Verdict) -> dict[float, str]:
    """Status by rate."""
    return {rate.learning_rate: rate.status for rate in decision.rates}


ALLOWING = setting_with("report", diverged_share=0.5)


LUCKY = {
    0.1: [NAN, 0.9884, 0.9885, 0.9886, 0.9885],  # its hard seed is missing: the highest mean, yet beaten
    0.01: [0.9600, 0.9896, 0.9895, 0.9896, 0.9896],
    0.001: [0.9500, 0.9796, 0.9795, 0.9796, 0.9796],
}


def trained(rate: float, seed: int, columns: dict[str, list[float]], **metrics: object) -> Run:
    """Make a run with this history; it ended well unless `metrics` say otherwise."""
    loss, val_loss = columns.pop("loss"), columns.pop("val_loss")
    table = history(loss, val_loss, **columns)
    kept = {"rule": "best_epoch", "epoch": int(table["val_accuracy"].to_numpy().argmax()) + 1}
    ended = {"diverged_epoch": None, "kept": kept, "test": {"accuracy": 0.75, "loss": 0.875}} | metrics
    return Run(rate, seed, table, ended, np.zeros(4, np.int32))


LABELS = {"test": np.array([0, 0, 0, 1]), "validation": np.arange(10).repeat(500)}
"""For the made-up runs, which predict class 0."""


FINE = {
    "loss": [1.0, 0.5, 0.4],
    "accuracy": [0.6, 0.7, 0.8],
    "val_loss": [0.9, 0.3, 0.35],
    "val_accuracy": [0.7, 0.92, 0.91],
}


def verdict_on(
    rates: list[float],
    chosen: float | None,
    near: tuple[float, ...] = (),
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4),
    *,
    improving: bool = False,
) -> Verdict:
    """Make a verdict with this choice: rates near it are not distinguishable from it, the others worse."""
    several = len(seeds) > 1
    verdicts = []
    for rate in sorted(rates):
        status = WORSE if several else UNKNOWN
        if chosen is None:
            status = DIVERGED
        elif rate in (chosen, *near):
            status = CHOSEN if rate == chosen else NOT_DISTINGUISHABLE
        value = {WORSE: 0.9, DIVERGED: NAN}.get(status, 0.98)
        alone = decide({rate: [value] * len(seeds)}).rates[0]
        rival = chosen if status == WORSE else None
        dependable = 0.979 if status in (CHOSEN, NOT_DISTINGUISHABLE) else NAN
        verdicts.append(
            alone._replace(status=status, p_best=0.5, rival=rival, rival_gap=0.08, dependable=dependable)
        )
    return decide({0.1: [0.9] * len(seeds)})._replace(
        seeds=seeds,
        learning_rate=chosen,
        settled=several and not near,
        rates=tuple(verdicts),
        improving=improving,
    )


def say(decision: Verdict, tested: dict[float, Discordance] | None = None) -> Statement:
    """Put a verdict into sentences."""
    return compose(analysis_of(decision, tested))


def analysis_of(decision: Verdict, tested: dict[float, Discordance] | None = None) -> Analysis:
    """Make an analysis with this verdict and the advice that follows from it, and nothing else."""
    advice = grid.advise(decision, SETTING.params.report.coarse_ratio)
    return Analysis(pd.DataFrame(), pd.DataFrame(), decision, tested or {}, (), None, advice, {}, (), None)
