"""Tables of a study's runs: one row a run, and one row a point of every curve."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.core.runs import CURVES, Run
from pipeline.params import target_column
from pipeline.report.analysis import health
from pipeline.report.analysis.health import Health
from pipeline.report.analysis.setting import Setting
from pipeline.report.analysis.statistics import Floats

CRITERIA = {"best_epoch": "best_val_accuracy", "last_epoch": "final_val_accuracy"}
"""What `train.keep` of params.yaml means: the column that rates are compared by."""


def tabulate(runs: Sequence[Run], setting: Setting) -> pd.DataFrame:
    """Make a row of each run, in their order; docs/report.md defines the columns.

    A diverged run has NaN for its accuracies: whatever it reached before, it ended with no usable network.
    """
    table = pd.DataFrame([_row(run, setting) for run in runs])
    whole = dict.fromkeys(("diverged_epoch", "kept_epoch"), "Int64")  # whole, or missing
    return table.astype(whole | dict.fromkeys(("test_accuracy", "test_loss"), "float64"))


def curves(runs: Sequence[Run]) -> pd.DataFrame:
    """Make a long table: learning_rate, seed, epoch, metric, value; metrics in the order of CURVES."""
    tables = [
        run.history.melt("epoch", list(CURVES), "metric").assign(
            learning_rate=run.learning_rate, seed=run.seed
        )
        for run in runs
    ]
    columns = ["learning_rate", "seed", "epoch", "metric", "value"]
    return pd.concat(tables, ignore_index=True)[columns]


def matrix(table: pd.DataFrame, column: str) -> tuple[tuple[float, ...], Floats]:
    """Arrange a column by rate: the rates, rising, and the values, shape (rates, seeds)."""
    wide = table.pivot(index="learning_rate", columns="seed", values=column)
    return tuple(map(float, wide.index)), wide.to_numpy(np.float64)


def without_diverged(values: Floats, share: float) -> Floats:
    """Blank the rates, shape (rates, seeds), more than this share of whose runs diverged (NaN)."""
    diverged = np.isnan(values).mean(axis=1, keepdims=True) > share
    return np.where(diverged, np.nan, values)


def epochs_to(accuracy: Floats, target: float) -> float:
    """Find the first epoch, counted from 1, with at least this accuracy; NaN if there is none."""
    reached = np.flatnonzero(accuracy >= target)
    return float(reached[0] + 1) if len(reached) else math.nan


def examine(history: pd.DataFrame, setting: Setting) -> Health:
    """Examine the health of a run, or of its first epochs; one that ended early has a loss of NaN there."""
    return health.examine(history, setting.params.report.health, setting.task.blind_loss)


def _row(run: Run, setting: Setting) -> dict[str, object]:
    history, examined = run.history, examine(run.history, setting)
    diverged = health.DIVERGED in examined.labels
    accuracy = history["val_accuracy"].to_numpy(np.float64)
    if diverged:
        accuracy = np.full_like(accuracy, np.nan)
    last, tested = history.iloc[-1], {} if diverged else run.metrics["test"]
    return {
        "learning_rate": run.learning_rate,
        "seed": run.seed,
        "epochs": len(history),
        "diverged_epoch": run.metrics.get("diverged_epoch"),
        "kept_epoch": None if diverged else run.metrics["kept"]["epoch"],
        "best_val_accuracy": float(accuracy.max()),
        "final_val_accuracy": float(accuracy[-1]),
        "final_val_loss": float(last["val_loss"]),
        "best_val_loss": math.nan if diverged else float(history["val_loss"].min()),
        "final_accuracy": float(last["accuracy"]),
        "final_loss": float(last["loss"]),
        "test_accuracy": tested.get("accuracy"),
        "test_loss": tested.get("loss"),
        "roughness": examined.roughness,
        "rising_share": examined.rising_share,
        **{
            target_column(target): epochs_to(accuracy, target)
            for target in setting.params.report.accuracy_targets
        },
        "health": "; ".join(examined.labels),
    }
