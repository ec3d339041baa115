"""Tables of a study's runs: one row a run, and one row a point of every curve. Pure."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.core.runs import CURVES, Run
from pipeline.params import ReportParams, target_column
from pipeline.report.analysis import health, speed

CRITERIA = {"best_epoch": "best_val_accuracy", "last_epoch": "final_val_accuracy"}
"""What `report.criterion` of params.yaml means: the column that rates are compared by."""


def compare(runs: Sequence[Run], params: ReportParams) -> pd.DataFrame:
    """One row a run, by rate and seed; docs/report.md defines the columns.

    A diverged run has NaN for its accuracies: whatever it reached before, it ended with no usable network.
    """
    table = pd.DataFrame([_row(run, params) for run in sorted(runs, key=lambda run: (run[0], run[1]))])
    return table.astype(dict.fromkeys(("diverged_epoch", "best_epoch"), "Int64"))  # whole, or missing


def curves(runs: Sequence[Run]) -> pd.DataFrame:
    """Long: learning_rate, seed, epoch, metric, value; metrics are Keras' four, in the order of CURVES."""
    tables = []
    for run in sorted(runs, key=lambda run: (run[0], run[1])):
        long = run.history.melt(
            id_vars="epoch", value_vars=list(CURVES), var_name="metric", value_name="value"
        )
        long.insert(0, "learning_rate", run.learning_rate)
        long.insert(1, "seed", run.seed)
        tables.append(long)
    return pd.concat(tables, ignore_index=True)


def matrix(table: pd.DataFrame, column: str) -> tuple[tuple[float, ...], np.ndarray]:
    """The rates, rising, and the column's values, shape (rates, seeds)."""
    wide = table.pivot_table(
        index="learning_rate", columns="seed", values=column, dropna=False, aggfunc="first"
    )
    return tuple(map(float, wide.index)), wide.to_numpy(np.float64)


def has_diverged(run: Run, params: ReportParams, epochs: int) -> bool:
    """Whether the run counts as diverged if it ends after so many epochs, or where it ended before."""
    epoch = run.metrics.get("diverged_epoch")
    labels = health.examine(run.history.iloc[:epochs], params.health).labels
    return health.DIVERGED in labels or (epoch is not None and epoch <= epochs)


def _row(run: Run, params: ReportParams) -> dict[str, object]:
    history, state = run.history, health.examine(run.history, params.health)
    diverged = has_diverged(run, params, len(history))
    accuracy = history["val_accuracy"].to_numpy(np.float64)
    if diverged:
        accuracy = np.full_like(accuracy, np.nan)
    best = math.nan if diverged else float(np.nanmax(accuracy))
    last = history.iloc[-1]
    targets = {target_column(target): speed.epochs_to(accuracy, target) for target in params.accuracy_targets}
    return {
        "learning_rate": run.learning_rate,
        "seed": run.seed,
        "epochs": len(history),
        "diverged_epoch": run.metrics.get("diverged_epoch"),
        "best_val_accuracy": best,
        "best_epoch": math.nan if diverged else int(np.nanargmax(accuracy)) + 1,
        "final_val_accuracy": float(accuracy[-1]),
        "final_val_loss": float(last["val_loss"]),
        "best_val_loss": float(np.nanmin(history["val_loss"])) if not diverged else math.nan,
        "final_accuracy": float(last["accuracy"]),
        "final_loss": float(last["loss"]),
        "test_accuracy": math.nan if diverged else _number(run.metrics["test"]["accuracy"]),
        "test_loss": math.nan if diverged else _number(run.metrics["test"]["loss"]),
        "roughness": state.roughness,
        "rising_share": state.rising_share,
        **targets,
        "health": "; ".join(state.labels),
    }


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
