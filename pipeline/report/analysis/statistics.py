"""Intervals, paired tests and the set of rates that may be the best: arrays in, numbers out.

`values` has shape (rates, seeds), higher is better, NaN where a run has no value; intervals and tests also
take (studies, rates, seeds), and do each study by itself. A column is one seed: its runs share initial
weights and shuffles, so rates are compared within columns (paired), and every pair of rates has a variance
of its own, since high rates scatter more than low ones. docs/report.md says in words what each number
means. Knows no learning rates, no files, no thresholds.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_DRAWS = 10_000


class Intervals(NamedTuple):
    """Attributes: each of shape (rates,); bounds are NaN where fewer than two seeds have a value."""

    mean: Floats
    low: Floats
    high: Floats


class Pairs(NamedTuple):
    """Every pair of rates once, `first` < `second`.

    Attributes:
        first, second: indices of the rates, shape (pairs,).
        difference: mean over the common seeds of first minus second.
        low, high: simultaneous interval: all pairs' intervals cover at once at the confidence.
        p_value: two-sided paired t test. Interval and p-value are both corrected for the number of pairs by
            Bonferroni's inequality, so that the one excludes 0 exactly when the other is small.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    difference: Floats
    low: Floats
    high: Floats
    p_value: Floats


class Challenge(NamedTuple):
    """For each rate, the rate that speaks most against its being the best; each of shape (rates,).

    Attributes:
        p_value: how compatible the values are with the rate being the best, in [0, 1]; below 1 - confidence,
            the rival beats it. NaN for a rate with fewer than two seeds in common with any other.
        rival: index of that other rate.
        gap: how much the rival is above it in the mean; negative if it is below.
        at_least: how much it is above it at the confidence; above 0 exactly when it beats it.
    """

    p_value: Floats
    rival: NDArray[np.intp]
    gap: Floats
    at_least: Floats


def mean_intervals(values: Floats, resolution: float, confidence: float) -> Intervals:
    """Mean over seeds with Student's t interval, per rate.

    Args:
        resolution: the step in which a value can change (one image's share). Rounding to it is taken into
            account, or three equal values would have an interval of no width.
    """
    count = np.isfinite(values).sum(axis=-1)
    mean, error = _mean_and_error(values, resolution**2 / 12)
    half = _quantile((1 + confidence) / 2, count) * error
    return Intervals(mean, mean - half, mean + half)


def compare_pairs(values: Floats, resolution: float, confidence: float) -> Pairs:
    """Paired t tests of every two rates on their common seeds.

    Args:
        resolution: as in `mean_intervals`; here for differences of two rounded values.
    """
    first, second = np.triu_indices(values.shape[-2], k=1)
    differences = values[..., first, :] - values[..., second, :]
    count = np.isfinite(differences).sum(axis=-1)
    mean, error = _mean_and_error(differences, resolution**2 / 6)
    half = _quantile(1 - (1 - confidence) / 2 / max(len(first), 1), count) * error
    p_value = np.minimum(1.0, 2 * len(first) * _upper_tail(np.abs(mean), error, count))
    return Pairs(first, second, mean, mean - half, mean + half, p_value)


def challenge(values: Floats, resolution: float, confidence: float) -> Challenge:
    """Ask of each rate: may it be the best of all, or does one of the others beat it?

    The rates that none beats are a confidence set for the best one (subset selection, Gupta 1965; multiple
    comparisons with the best, Hsu 1984): were rate i the best, its rates - 1 one-sided paired tests against
    the others would all be tests of a true hypothesis, and by Bonferroni's inequality the chance that any
    one of them rejects is at most 1 - confidence. Hence the smallest of these p-values, times rates - 1.
    """
    rates = values.shape[-2]
    differences = values[..., None, :, :] - values[..., :, None, :]  # [i, j]: how much j is above i
    count = np.isfinite(differences).sum(axis=-1)
    mean, error = _mean_and_error(differences, resolution**2 / 6)
    tail = np.where(np.eye(rates, dtype=bool), np.nan, _upper_tail(mean, error, count))
    rival = np.where(np.isfinite(tail), tail, np.inf).argmin(axis=-1)
    others = max(rates - 1, 1)
    bound = mean - _quantile(1 - (1 - confidence) / others, count) * error

    def against_rival(table: Floats) -> Floats:
        return np.take_along_axis(table, rival[..., None], axis=-1)[..., 0]

    smallest = against_rival(tail)
    known = np.isfinite(smallest)
    return Challenge(
        np.where(known, np.minimum(1.0, smallest * others), 1.0 if rates == 1 else np.nan),
        rival,
        np.where(known, against_rival(mean), np.nan),
        np.where(known, against_rival(bound), np.nan),
    )


def candidates(values: Floats, resolution: float, confidence: float) -> tuple[int, Bools]:
    """The rate to choose, and which rates cannot be told from the best.

    Chosen is the highest mean (the first of several) among the rates that none beats, leaving out those
    with too few seeds to be tested if others have enough. Where every rate has all its seeds, that is the
    highest mean of all. Where some are missing, a rate can owe its mean to the absence of a hard seed.

    Args:
        values: NaN in every column for a rate that is out of the question; not all may be.

    Returns:
        Its index, and a mask of shape (rates,) that holds it too. With fewer than two seeds nothing can be
        told: the mask holds every rate that has values. Tests on different seeds may contradict each other
        until every rate is beaten; then the choice is the one that is most compatible with being the best.
    """
    present = np.isfinite(values).any(axis=1)
    mean, _ = _mean_and_error(values, 0.0)
    p_values = np.full(len(values), np.nan)
    p_values[present] = challenge(values[present], resolution, confidence).p_value
    mask = present & ~(p_values <= 1 - confidence)
    tested = np.isfinite(p_values)
    if not tested.any():
        best = int(np.argmax(np.where(present, mean, -np.inf)))
    elif (tested & mask).any():
        best = int(np.argmax(np.where(tested & mask, mean, -np.inf)))
    else:
        best = int(np.nanargmax(p_values))
    mask[best] = True
    return best, mask


def probability_best(values: Floats, draws: int = _DRAWS) -> Floats:
    """Share of bootstrap studies in which each rate has the highest mean; shape (rates,), sums to 1.

    Seeds are drawn with replacement, each with all its rates, since a seed's runs belong together. One seed
    fewer is drawn than there are (Rao and Wu 1988): drawing all of them makes means of 3 seeds scatter by a
    fifth too little. Ties are shared out. The generator is fixed: same values, same answer.

    Returns:
        NaN with fewer than two seeds.
    """
    rates, seeds = values.shape
    if seeds < 2:
        return np.full(rates, np.nan)
    drawn = np.random.default_rng(0).integers(0, seeds, (draws, seeds - 1))
    weights = (drawn[:, :, None] == np.arange(seeds)).sum(axis=1).astype(np.float64)
    known = np.isfinite(values)
    total = weights @ np.where(known, values, 0.0).T
    share = weights @ known.T
    means = np.where(share > 0, total / np.maximum(share, 1), -np.inf)
    best = means >= means.max(axis=1, keepdims=True) - 1e-12
    chances: Floats = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    return chances


def _mean_and_error(values: Floats, rounding: float) -> tuple[Floats, Floats]:
    """Mean and standard error over the last axis, NaN left out; NaN error with fewer than two values.

    Args:
        rounding: variance that rounding contributes: step**2 / 12 for a value, twice that for a difference.
            It is added, though a scatter well above the step holds it already: few values can fall on one
            step by chance, and then nothing else would be left.
    """
    known = np.isfinite(values)
    count = known.sum(axis=-1)
    mean = np.where(known, values, 0.0).sum(axis=-1) / np.where(count > 0, count, np.nan)
    squares = np.where(known, values - mean[..., None], 0.0) ** 2
    variance = squares.sum(axis=-1) / np.where(count > 1, count - 1, np.nan)
    return mean, np.sqrt((variance + rounding) / np.maximum(count, 1))


def _quantile(level: float, count: NDArray[np.int_]) -> Floats:
    return np.asarray(stats.t.ppf(level, np.where(count > 1, count - 1, np.nan)), np.float64)


def _upper_tail(mean: Floats, error: Floats, count: NDArray[np.int_]) -> Floats:
    """One-sided p-values: how likely so high a mean is if the true one is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(stats.t.sf(mean / error, np.where(count > 1, count - 1, np.nan)), np.float64)
