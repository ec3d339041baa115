"""How fast a rate gets somewhere, and which rate is best when one may train no longer. Pure.

Adam's rate is constant and shuffles depend on (seed, epoch), so the first epochs of a long run are the
short run: one study answers for every smaller number of epochs.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.report.analysis import statistics
from pipeline.report.analysis.status import is_far

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Reach(NamedTuple):
    """Epochs to an accuracy, over a rate's seeds.

    Attributes:
        reached, runs: how many of how many runs got there.
        median: infinite if half of the runs or more never did.
        low, high: fewest and most epochs; infinite for a run that never got there.
    """

    reached: int
    runs: int
    median: float
    low: float
    high: float


class Winner(NamedTuple):
    """Attributes:

    budget: epochs.
    rate: index of the choice; None if every rate is infeasible by then.
    others: indices of the rates near it that cannot be told from it; None with fewer than two seeds.
    mean: its mean over the seeds that had not diverged by then.
    """

    budget: int
    rate: int | None
    others: tuple[int, ...] | None
    mean: float


def epochs_to(accuracy: Floats, target: float) -> float:
    """First epoch, counted from 1, with at least this accuracy; NaN if there is none."""
    reached = np.flatnonzero(accuracy >= target)
    return float(reached[0] + 1) if len(reached) else math.nan


def reach(epochs: Floats) -> Reach:
    """Sum up one rate's runs.

    Args:
        epochs: shape (seeds,), NaN where the run never got there.
    """
    known = np.where(np.isfinite(epochs), epochs, np.inf)
    ordered = np.sort(known)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    median = math.inf if math.isinf(high) else float((low + high) / 2)
    return Reach(int(np.isfinite(epochs).sum()), len(epochs), median, float(ordered[0]), float(ordered[-1]))


def winners(
    accuracies: Sequence[Sequence[Floats]],
    budgets: Sequence[int],
    *,
    best_epoch: bool,
    resolution: float,
    confidence: float,
    diverged: Mapping[int, Bools] | None = None,
    diverged_share: float = 0.0,
) -> tuple[Winner, ...]:
    """The best rate for each budget that the histories reach: what the verdict of so short a study would be.

    Args:
        accuracies: for each rate and seed, validation accuracy by epoch; NaN from a divergence on, or ended
            by it.
        best_epoch: compare the best epoch within the budget, or the budget's last.
        diverged: by budget, shape (rates, seeds): runs that count as diverged by then, beside those without
            an accuracy.
        diverged_share: a rate is infeasible if more than this share of its runs had diverged by then.
    """
    reached = max(len(run) for rate in accuracies for run in rate)
    found = []
    for budget in (budget for budget in budgets if budget <= reached):
        values = np.array(
            [[_within(run, budget, best_epoch=best_epoch) for run in rate] for rate in accuracies]
        )
        if diverged:
            values[diverged[budget]] = np.nan
        values[np.isnan(values).mean(axis=1) > diverged_share] = np.nan
        if np.isnan(values).all():
            found.append(Winner(budget, None, None, math.nan))
            continue
        best, mask = statistics.candidates(values, resolution, confidence)
        others = tuple(
            int(index)
            for index in np.flatnonzero(mask)
            if index != best and not is_far(_mean(values[best] - values[index]))
        )
        single = values.shape[1] < 2
        found.append(Winner(budget, best, None if single else others, _mean(values[best])))
    return tuple(found)


def _within(accuracy: Floats, budget: int, *, best_epoch: bool) -> float:
    part = accuracy[:budget]
    if len(part) < budget or not np.isfinite(part).all():
        return math.nan
    return float(part.max() if best_epoch else part[-1])


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan
