"""Which rate is best for a budget of epochs.

The rate is constant and shuffles depend on (seed, epoch), so the first epochs of a long run are the short
run: one study answers for every smaller number of epochs.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.core.runs import Run
from pipeline.params import ReportParams
from pipeline.report.analysis import comparison, statistics
from pipeline.report.analysis.status import is_far


class Winner(NamedTuple):
    """The best rate for a budget of epochs.

    Attributes:
        rate: the choice; None if every rate has diverged by then.
        others: the rates near it that are not distinguishable from it; None with fewer than two seeds.
        mean: of the choice, over the seeds that had not diverged by then.
    """

    budget: int
    rate: float | None
    others: tuple[float, ...] | None
    mean: float


def winners(runs: Sequence[Run], params: ReportParams, resolution: float) -> tuple[Winner, ...]:
    """Find the best rate for each budget that the histories reach: the verdict of so short a study.

    Args:
        runs: by rate and seed, every rate with every seed.
        resolution: the step in which an accuracy can change.
    """
    rates = sorted({run.learning_rate for run in runs})
    longest = max(len(run.history) for run in runs)
    best = []
    for budget in (budget for budget in params.budgets if budget <= longest):
        values = np.reshape([_within(run, params, budget) for run in runs], (len(rates), -1))
        values = comparison.without_diverged(values, params.diverged_share)
        choice = statistics.choose(values, resolution, params.confidence)
        if choice.best is None:
            best.append(Winner(budget, None, None, math.nan))
            continue
        gaps = statistics.mean(values[choice.best] - values)
        near = [index for index in np.flatnonzero(choice.mask) if not is_far(gaps[index])]
        others = tuple(rates[index] for index in near if index != choice.best)
        mean = float(statistics.mean(values[choice.best]))
        best.append(Winner(budget, rates[choice.best], others if values.shape[1] > 1 else None, mean))
    return tuple(best)


def _within(run: Run, params: ReportParams, budget: int) -> float:
    """Compute the criterion after so many epochs; NaN for a run that had diverged or ended by then."""
    accuracy = run.history["val_accuracy"].to_numpy(np.float64)[:budget]
    if len(accuracy) < budget or comparison.has_diverged(run, params, budget):
        return math.nan
    return float(accuracy.max() if params.criterion == "best_epoch" else accuracy[-1])
