"""Accuracies of two trainings on different kinds of processor: not the same bits, but the same result."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core.errors import DataError

COLUMNS = {
    "best_val_accuracy": ("best", "val_accuracy"),
    "final_val_accuracy": ("final", "val_accuracy"),
    "test_accuracy": ("test", "accuracy"),
}
"""The columns of comparison.csv that are compared, and where metrics.json has them."""

Accuracies = dict[str, float]
"""Shares by a label that says whose they are; NaN where a run diverged."""


def of_table(path: Path) -> Accuracies:
    """Read the accuracies of every run in a comparison.csv.

    Raises:
        DataError: it is not what stage `report` writes.
    """
    columns = {"learning_rate": float, "seed": int} | dict.fromkeys(("diverged_epoch", *COLUMNS), float)
    accuracies = {}
    try:
        for row in pd.read_csv(path, usecols=list(columns), dtype=columns).to_dict("records"):
            diverged = pd.notna(row["diverged_epoch"])
            for name in COLUMNS:
                if not (diverged or 0 <= row[name] <= 1):
                    raise ValueError(f"{name} {row[name]}")
                accuracies[_label(row, name)] = math.nan if diverged else row[name]
        if not accuracies:
            raise ValueError("no run")
    except ValueError as error:
        raise _unreadable(path, error) from error
    return accuracies


def of_metrics(metrics: Mapping[str, Any]) -> Accuracies:
    """Take the same from the metrics.json of one run."""
    diverged = metrics["diverged_epoch"] is not None
    return {
        _label(metrics, name): math.nan if diverged else metrics[section][key]
        for name, (section, key) in COLUMNS.items()
    }


def of_verdict(path: Path) -> tuple[Accuracies, set[float | None]]:
    """Read each rate's accuracies in a verdict.json, and the rates that it calls the best or as good.

    Raises:
        DataError: it is not what stage `report` writes.
    """
    try:
        verdict = json.loads(path.read_bytes())
        accuracies = {}
        for rate, facts in verdict.get("rates", {}).items():
            values = facts["test_accuracy"], facts["validation_accuracy"]["mean"]
            for name, value in zip(("test_accuracy", "validation_accuracy.mean"), values, strict=True):
                accuracies[f"{rate} {name}"] = math.nan if value is None else float(value)
        return accuracies, {
            verdict["learning_rate"],
            *(verdict.get("equivalent") or ()),
            *(verdict.get("indistinguishable") or ()),
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(path, error) from error


def gaps(before: Accuracies, after: Accuracies, tolerance: float) -> tuple[float, list[str]]:
    """Compare accuracies; one that a single side has is beyond every tolerance.

    Args:
        tolerance: largest difference that passes, as a share: 0.01 is one point.

    Returns:
        The largest difference, and a line for each that is beyond the tolerance.
    """
    both = pd.DataFrame({"before": before, "after": after}, dtype=float).dropna(how="all")
    gap = (both.before - both.after).abs().fillna(math.inf)
    lines = [
        f"{label}: {_shown(old)} before, {_shown(new)} in the rerun"
        for label, old, new in both[gap > tolerance].itertuples()
    ]
    return max(gap, default=0.0), lines


def _label(run: Mapping[Any, Any], name: str) -> str:
    return f"lr-{run['learning_rate']}/seed-{run['seed']} {name}"


def _shown(value: float) -> str:
    return "none (it diverged, or is not there)" if math.isnan(value) else f"{value:.4f}"


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path}: expected what stage report writes, got something else ({error}). "
        "Bring it back with git, or make it again with `dvc repro`."
    )
