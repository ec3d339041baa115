"""Two trainings of one run on different kinds of processor: not the same bits, but the same result. Pure."""

import csv
import json
import math
from collections.abc import Mapping
from typing import Any

from pipeline.core.errors import DataError

MEASURES = {
    "best_val_accuracy": ("best", "val_accuracy"),
    "final_val_accuracy": ("final", "val_accuracy"),
    "test_accuracy": ("test", "accuracy"),
}
"""The columns of comparison.csv that are compared, and where metrics.json has them."""
IN_VERDICT = (("test_accuracy",), ("validation_accuracy", "mean"))
"""Where verdict.json has the accuracies of a rate."""

Row = Mapping[str, Any]
Rows = dict[tuple[float, int], dict[str, str]]


def rows(content: bytes, name: str) -> Rows:
    """The rows of comparison.csv by rate and seed.

    Args:
        name: what to call it in an error.

    Raises:
        DataError: it is not what stage `report` writes.
    """
    needed = ("learning_rate", "seed", "diverged_epoch", *MEASURES)
    try:
        table = list(csv.DictReader(content.decode().splitlines()))
        for row in table:
            if missing := [column for column in needed if row.get(column) is None]:
                raise ValueError(f"a row without {', '.join(missing)}")
            for column in needed[2:]:
                if row[column] and not math.isfinite(float(row[column])):
                    raise ValueError(f"{column} {row[column]}")
        if not table:
            raise ValueError("no row")
        return {(float(row["learning_rate"]), int(row["seed"])): row for row in table}
    except (ValueError, csv.Error) as error:
        raise _not_written(
            name, "a row per run with its rate, seed and accuracies, as stage report", error
        ) from error


def verdict(content: bytes, name: str) -> dict[str, Any]:
    """The content of verdict.json.

    Args:
        name: what to call it in an error.

    Raises:
        DataError: it is not what stage `report` writes.
    """
    try:
        found = json.loads(content.decode())
        if not isinstance(found, dict) or "learning_rate" not in found:
            raise ValueError("no learning_rate")
        if not isinstance(found.get("indistinguishable") or [], list):
            raise ValueError(f"indistinguishable {found['indistinguishable']!r}")
        return found
    except (ValueError, RecursionError) as error:
        raise _not_written(name, "a verdict with its learning_rate, as stage report", error) from error


def compare(row: Row | None, metrics: Row, tolerance: float) -> tuple[float, list[str]]:
    """Compare a run with its row of the committed comparison.csv.

    Args:
        tolerance: largest difference of an accuracy that passes, as a share: 0.01 is one point.

    Returns:
        The largest difference found, and a line for each measure beyond the tolerance.
    """
    if row is None:
        return math.inf, ["report/comparison.csv of the commit has no row for it"]
    after = {column: (metrics.get(section) or {}).get(key) for column, (section, key) in MEASURES.items()}
    return compare_rows(row, {**after, "diverged_epoch": metrics.get("diverged_epoch")}, tolerance)


def compare_rows(before: Row, after: Row, tolerance: float) -> tuple[float, list[str]]:
    """Like `compare`, for two rows of a comparison.csv."""
    if math.isnan(_number(before.get("diverged_epoch"))) != math.isnan(_number(after.get("diverged_epoch"))):
        return math.inf, ["it diverged in one of the two trainings and not in the other"]
    return _gaps({c: before.get(c) for c in MEASURES}, {c: after.get(c) for c in MEASURES}, tolerance)


def compare_tables(before: Rows, after: Rows, tolerance: float) -> tuple[float, list[str]]:
    """Like `compare`, for two whole comparison.csv."""
    if sorted(before) != sorted(after):
        return math.inf, ["its rows are of other runs"]
    largest, lines = 0.0, []
    for rate, seed in before:
        gap, own = compare_rows(before[rate, seed], after[rate, seed], tolerance)
        largest = max(largest, gap)
        lines += [f"learning rate {rate}, seed {seed}: {line}" for line in own]
    return largest, lines


def compare_verdicts(before: Row, after: Row, tolerance: float) -> tuple[float, list[str]]:
    """Compare two verdicts: the accuracies of each rate, and the choice.

    The rerun must choose the same rate, or one that could not be told from it.
    """
    largest, lines = _gaps(_accuracies(before), _accuracies(after), tolerance)
    chosen, now = before.get("learning_rate"), after.get("learning_rate")
    if now != chosen and now not in (before.get("indistinguishable") or ()):
        lines.insert(0, f"learning_rate: {chosen} before, {now} in the rerun, which could be told from it")
    return largest, lines


def _gaps(before: Row, after: Row, tolerance: float) -> tuple[float, list[str]]:
    largest, lines = 0.0, []
    for name, value in before.items():
        one, other = _number(value), _number(after.get(name))
        if math.isnan(one):  # a diverged run has no accuracies
            continue
        gap = math.inf if math.isnan(other) else abs(other - one)
        largest = max(largest, gap)
        if gap > tolerance:
            lines.append(f"{name}: {one:.4f} before, {other:.4f} in the rerun")
    return largest, lines


def _accuracies(verdict: Row) -> dict[str, Any]:
    rates = verdict.get("rates")
    found = {}
    for rate, value in rates.items() if isinstance(rates, dict) else ():
        for path in IN_VERDICT:
            at = value
            for key in path:
                at = at.get(key) if isinstance(at, dict) else None
            found[".".join((rate, *path))] = at
    return found


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _not_written(name: str, expected: str, error: Exception) -> DataError:
    return DataError(
        f"{name}: expected {expected} writes it, got something else ({error}). "
        "Bring it back with git, or make it again with `dvc repro`."
    )
