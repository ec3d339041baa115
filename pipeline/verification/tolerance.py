"""Two trainings of one run on different kinds of processor: not the same bits, but the same result. Pure."""

import csv
import math
from collections.abc import Mapping
from typing import Any

MEASURES = {
    "best_val_accuracy": ("best", "val_accuracy"),
    "final_val_accuracy": ("final", "val_accuracy"),
    "test_accuracy": ("test", "accuracy"),
}
"""The columns of comparison.csv that are compared, and where metrics.json has them."""


def rows(table: str) -> dict[tuple[float, int], dict[str, str]]:
    """The rows of comparison.csv by rate and seed."""
    return {
        (float(row["learning_rate"]), int(row["seed"])): row for row in csv.DictReader(table.splitlines())
    }


def compare(
    row: Mapping[str, Any] | None, metrics: Mapping[str, Any], tolerance: float
) -> tuple[float, list[str]]:
    """Compare a run with its row of the committed comparison.csv.

    Args:
        tolerance: largest difference of an accuracy that passes, as a share: 0.01 is one point.

    Returns:
        The largest difference found, and a line for each measure beyond the tolerance.
    """
    if row is None:
        return math.inf, ["report/comparison.csv of the commit has no row for it"]
    largest, lines = 0.0, []
    diverged = _number(metrics.get("diverged_epoch"))
    if math.isnan(_number(row.get("diverged_epoch"))) != math.isnan(diverged):
        return math.inf, ["it diverged in one of the two trainings and not in the other"]
    for column, (section, key) in MEASURES.items():
        before, after = _number(row.get(column)), _number((metrics.get(section) or {}).get(key))
        if math.isnan(before):  # the row of a diverged run has no accuracies
            continue
        gap = math.inf if math.isnan(after) else abs(after - before)
        largest = max(largest, gap)
        if gap > tolerance:
            lines.append(f"{column}: {before:.4f} before, {after:.4f} in the rerun")
    return largest, lines


def compare_choices(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Compare two verdicts: the rerun must choose the same rate, or one that could not be told from it."""
    chosen, now = before.get("learning_rate"), after.get("learning_rate")
    if now == chosen or now in (before.get("indistinguishable") or ()):
        return []
    return [f"learning_rate: {chosen} before, {now} in the rerun, which could be told from it"]


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
