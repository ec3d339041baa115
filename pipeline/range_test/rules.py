"""The range test's curve and what common rules read from it: arrays in, rates out. Pure.

The test (Smith 2017, "Cyclical learning rates", section 3.3) trains for some hundred steps while the rate
rises from far too low to far too high. Where the loss falls fastest, or shortly before it is lowest, a good
rate is said to lie. The report compares that with the study, which has trained at the rates themselves.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RULES = {
    "steepest": "where the loss falls fastest over the logarithm of the rate",
    "valley": "two thirds through the longest run of ever lower losses, rises between them skipped",
    "minimum / 10": "a tenth of the rate with the lowest loss",
}
_SKIPPED = 0.05
"""Share of the steps at the start that no rule looks at: the running mean has not yet settled there."""


class Suggestion(NamedTuple):
    """Attributes:

    median, low, high: rates over the seeds.
    """

    median: float
    low: float
    high: float


class Agreement(NamedTuple):
    """Attributes:

    nearest: the configured rate that the suggestion comes nearest to; None if it lies outside of the grid.
    agrees: whether that is the chosen rate or one of those near it; None without a judgement.
    """

    nearest: float | None
    agrees: bool | None


def schedule(lowest: float, highest: float, steps: int) -> Floats:
    """The rate of each step: from `lowest` to `highest`, each the same factor above the one before."""
    return np.geomspace(lowest, highest, steps)


def smooth(losses: Floats, weight: float, stop: float) -> Floats:
    """Running mean of the loss, corrected for its start as Adam's moments are; NaN from the end on.

    Args:
        losses: shape (steps,), one batch each; NaN or infinite after a divergence.
        weight: of the past, in [0, 1).
        stop: the curve ends where it is this many times above its lowest.
    """
    smoothed = np.full(len(losses), np.nan)
    mean, lowest = 0.0, math.inf
    for step, loss in enumerate(losses):
        mean = weight * mean + (1 - weight) * loss
        value = mean / (1 - weight ** (step + 1))
        if not math.isfinite(value) or value > stop * lowest:
            break
        lowest = min(lowest, value)
        smoothed[step] = value
    return smoothed


def suggest(rates: Floats, smoothed: Floats) -> dict[str, float]:
    """What each of `RULES` suggests for one seed; empty if the curve never falls.

    Args:
        rates, smoothed: shape (steps,).
    """
    known = np.isfinite(smoothed)
    known[: int(_SKIPPED * len(rates))] = False
    rates, curve = rates[known], smoothed[known]
    lowest = int(curve.argmin()) if len(curve) else 0
    if lowest < 2:
        return {}
    slopes = np.gradient(curve, np.log(rates))
    start, end = _longest_fall(curve)
    return {
        "steepest": float(rates[slopes[: lowest + 1].argmin()]),
        "valley": float(rates[start + (end - start) * 2 // 3]),
        "minimum / 10": float(rates[lowest] / 10),
    }


def summarise(suggestions: Sequence[Mapping[str, float]]) -> dict[str, Suggestion]:
    """Median and range over the seeds, rule by rule; medians on the logarithmic scale."""
    found = {}
    for rule in RULES:
        values = [one[rule] for one in suggestions if rule in one]
        if values:
            median = float(np.exp(np.median(np.log(values))))
            found[rule] = Suggestion(median, min(values), max(values))
    return found


def compare(
    suggestion: float, grid: Sequence[float], chosen: float | None, others: Sequence[float] | None
) -> Agreement:
    """Hold a suggestion against the study.

    Args:
        grid: the study's rates.
        chosen, others: its choice, and the rates near it that cannot be told from it; None if unknown.
    """
    ordered = sorted(grid)
    logs = np.log10(ordered)
    place = math.log10(suggestion)
    # Beyond the grid's ends, half of the step there still belongs to the last rate.
    below = (logs[1] - logs[0]) / 2 if len(logs) > 1 else 0.25
    above = (logs[-1] - logs[-2]) / 2 if len(logs) > 1 else 0.25
    if not logs[0] - below <= place <= logs[-1] + above:
        return Agreement(None, None)
    nearest = ordered[int(np.abs(logs - place).argmin())]
    if nearest == chosen:
        return Agreement(nearest, True)
    return Agreement(nearest, None if others is None else nearest in others)


def _longest_fall(curve: Floats) -> tuple[int, int]:
    """First and last index of the longest decreasing subsequence, which may skip rises."""
    lengths, starts = np.ones(len(curve), int), np.arange(len(curve))
    for end in range(1, len(curve)):
        above = np.flatnonzero(curve[:end] > curve[end])
        if len(above):
            best = above[lengths[above].argmax()]
            lengths[end], starts[end] = lengths[best] + 1, starts[best]
    end = int(lengths.argmax())
    return int(starts[end]), end
