"""The range test's curve and what common rules read from it: arrays in, rates out. Pure.

The test (Smith 2017, "Cyclical learning rates", section 3.3) trains for some hundred steps while the rate
rises from far too low to far too high. Where the loss falls fastest, or shortly before it is lowest, a good
rate is said to lie. The report compares that with the study, which has trained at the rates themselves.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
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
    """A rule's rate: the median over the seeds, the lowest and the highest."""

    median: float
    low: float
    high: float


def smooth(losses: Floats, weight: float, stop: float) -> Floats:
    """Compute the loss's running mean, corrected for its start as Adam's moments are; NaN from the end on.

    Args:
        losses: shape (steps,), one batch each; NaN or infinite after a divergence.
        weight: of the past, in [0, 1).
        stop: above 1; the curve ends where it is this many times above its lowest.
    """
    smoothed = pd.Series(losses).ewm(alpha=1 - weight).mean().to_numpy()
    ended = ~np.isfinite(losses) | (smoothed > stop * np.fmin.accumulate(smoothed))
    return np.where(np.logical_or.accumulate(ended), np.nan, smoothed)


def suggest(rates: Floats, smoothed: Floats) -> dict[str, float]:
    """Apply each of `RULES` to one seed's curve, shape (steps,); empty if it never falls."""
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
    """Compute median and range over the seeds, rule by rule; medians on the logarithmic scale."""
    by_rule = {rule: [seed[rule] for seed in suggestions if rule in seed] for rule in RULES}
    return {
        rule: Suggestion(float(np.exp(np.median(np.log(rates)))), min(rates), max(rates))
        for rule, rates in by_rule.items()
        if rates
    }


def _longest_fall(curve: Floats) -> tuple[int, int]:
    """Find first and last index of the longest decreasing subsequence, which may skip rises."""
    lengths, starts = np.ones(len(curve), int), np.arange(len(curve))
    for end in range(1, len(curve)):
        above = np.flatnonzero(curve[:end] > curve[end])
        if len(above):
            best = above[lengths[above].argmax()]
            lengths[end], starts[end] = lengths[best] + 1, starts[best]
    end = int(lengths.argmax())
    return int(starts[end]), end
