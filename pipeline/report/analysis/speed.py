"""Which rate is best for a budget of epochs.

Where the rate is constant, the first epochs of a long run are the short run, since shuffles depend on (seed,
epoch): one study answers for every smaller number of epochs. Under any other schedule it answers for none.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.core.runs import Run
from pipeline.report.analysis import comparison, health, statistics
from pipeline.report.analysis.setting import Setting


class Winner(NamedTuple):
    """The best rate for a budget of epochs.

    Attributes:
        rate: the choice; None if every rate has diverged by then.
        others: the others that may be as good; None with fewer than two seeds.
        mean: of the choice, over the seeds that had not diverged by then.
    """

    budget: int
    rate: float | None
    others: tuple[float, ...] | None
    mean: float


def winners(runs: Sequence[Run], setting: Setting) -> tuple[Winner, ...]:
    """Find the best rate for each budget that the histories reach: the verdict of so short a study.

    Args:
        runs: by rate and seed, every rate with every seed.

    Returns:
        Nothing where the schedule depends on the number of epochs.
    """
    if setting.params.schedule.depends_on_epochs:
        return ()
    params = setting.params.report
    rates = sorted({run.learning_rate for run in runs})
    longest = max(len(run.history) for run in runs)
    best = []
    for budget in (budget for budget in params.budgets if budget <= longest):
        values = np.reshape([_within(run, setting, budget) for run in runs], (len(rates), -1))
        values = comparison.without_diverged(values, params.diverged_share)
        choice = statistics.choose(values, setting.resolution, params.confidence, params.margin)
        if choice.best is None:
            best.append(Winner(budget, None, None, math.nan))
            continue
        others = tuple(rates[index] for index in np.flatnonzero(choice.mask) if index != choice.best)
        mean = float(statistics.mean(values[choice.best]))
        best.append(Winner(budget, rates[choice.best], others if values.shape[1] > 1 else None, mean))
    return tuple(best)


def _within(run: Run, setting: Setting, budget: int) -> float:
    """Compute the criterion after so many epochs; NaN for a run that had diverged by then."""
    history = run.history.iloc[:budget]
    if health.DIVERGED in comparison.examine(history, setting).labels:
        return math.nan
    accuracy = history["val_accuracy"].to_numpy(np.float64)
    return float(accuracy.max() if setting.criterion == "best_epoch" else accuracy[-1])
