"""Intervals, paired tests and the set of rates that may be the best: arrays in, numbers out.

`values` has shape (rates, seeds), higher is better, NaN where a run has no value; intervals and tests also
take (studies, rates, seeds), and do each study by itself. A column is one seed: its runs share initial
weights and shuffles, so rates are compared within columns (paired), and every pair of rates has a variance
of its own, since high rates scatter more than low ones. docs/report.md says in words what each number
means. Knows no learning rates, no files, no thresholds.

scipy's `ttest_rel` and `sem` know no variance of rounding, without which three equal values would have an
interval of no width; so the t tests are put together here, from scipy's distribution.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_DRAWS = 10_000


class Intervals(NamedTuple):
    """Means and their bounds, each of shape (rates,); bounds are NaN with fewer than two values."""

    mean: Floats
    low: Floats
    high: Floats


class Pairs(NamedTuple):
    """Every pair of rates once, each of shape (pairs,).

    Attributes:
        first, second: indices of the rates, `first` < `second`.
        difference, low, high: mean of first minus second, and its interval.
        p_value: of the two-sided test. Both are corrected for the number of pairs (Bonferroni): the intervals
            of all pairs cover at once, and exclude 0 exactly where the p-value is small.
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
        rival: index of that other rate; undefined where the p-value is NaN.
        gap, at_least: how much the rival is above it in the mean, and at the confidence.
    """

    p_value: Floats
    rival: NDArray[np.intp]
    gap: Floats
    at_least: Floats


class Choice(NamedTuple):
    """The index of the rate to choose, None if no rate has values, and what speaks against each.

    `mask`, shape (rates,), holds the rates that may be the best, the chosen one among them; with one seed,
    all that have values.
    """

    best: int | None
    mask: Bools
    challenge: Challenge


def mean(values: Floats) -> Floats:
    """Average over the last axis, NaN left out; NaN where nothing is left."""
    return np.ma.filled(np.ma.masked_invalid(values).mean(axis=-1), np.nan)  # nanmean would warn


def mean_intervals(values: Floats, resolution: float, confidence: float) -> Intervals:
    """Average over seeds with Student's t interval, per rate.

    Args:
        resolution: the step in which a value can change (one image's share). Rounding to it is taken into
            account, or three equal values would have an interval of no width.
    """
    center, error, count = _moments(values, resolution**2 / 12)
    half = stats.t.ppf((1 + confidence) / 2, count - 1) * error
    return Intervals(center, center - half, center + half)


def compare_pairs(values: Floats, resolution: float, confidence: float) -> Pairs:
    """Test every two rates against each other on their common seeds, by paired t tests."""
    first, second = np.triu_indices(values.shape[-2], k=1)
    center, error, count = _moments(values[..., first, :] - values[..., second, :], resolution**2 / 6)
    half = stats.t.ppf(1 - (1 - confidence) / 2 / max(len(first), 1), count - 1) * error
    p_value = np.minimum(1.0, 2 * len(first) * _upper_tail(np.abs(center), error, count))
    return Pairs(first, second, center, center - half, center + half, p_value)


def challenge(values: Floats, resolution: float, confidence: float) -> Challenge:
    """Ask of each rate: may it be the best of all, or does one of the others beat it?

    The rates that none beats are a confidence set for the best one (subset selection, Gupta 1965; multiple
    comparisons with the best, Hsu 1984): were rate i the best, its rates - 1 one-sided paired tests against
    the others would all be tests of a true hypothesis, and by Bonferroni's inequality the chance that any
    one of them rejects is at most 1 - confidence. Hence the smallest of these p-values, times rates - 1;
    rates without any value do not count.
    """
    rates, seeds = values.shape[-2:]
    present = np.isfinite(values).any(axis=-1)
    others = np.maximum(present.sum(axis=-1, keepdims=True) - 1, 1)
    differences = values[..., None, :, :] - values[..., :, None, :]  # [i, j]: how much j is above i
    center, error, count = _moments(differences, resolution**2 / 6)
    tail = np.where(np.eye(rates, dtype=bool), np.nan, _upper_tail(center, error, count))
    rival = np.where(np.isfinite(tail), tail, np.inf).argmin(axis=-1)
    bound = center - stats.t.ppf(1 - (1 - confidence) / others[..., None], count - 1) * error
    smallest, gap, at_least = (
        np.take_along_axis(table, rival[..., None], axis=-1)[..., 0] for table in (tail, center, bound)
    )
    known = np.isfinite(smallest)
    alone = present & (present.sum(axis=-1, keepdims=True) == 1) & (seeds > 1)
    return Challenge(
        np.where(known, np.minimum(1.0, smallest * others), np.where(alone, 1.0, np.nan)),
        rival,
        np.where(known, gap, np.nan),
        np.where(known, at_least, np.nan),
    )


def choose(values: Floats, resolution: float, confidence: float) -> Choice:
    """Choose a rate, and find those that are not distinguishable from the best.

    Chosen is the highest mean (the first of several) among the rates that none beats, leaving out those
    with too few seeds to be tested if others have enough. Where every rate has all its seeds, that is the
    highest mean of all. Where some are missing, a rate can owe its mean to the absence of a hard seed.
    Tests on different seeds may contradict each other until every rate is beaten; then the choice is the
    one that is most compatible with being the best.

    Args:
        values: NaN in every column for a rate that is out of the question.
    """
    present = np.isfinite(values).any(axis=1)
    against = challenge(values, resolution, confidence)
    mask = present & ~(against.p_value <= 1 - confidence)
    if not present.any():
        return Choice(None, mask, against)
    tested = np.isfinite(against.p_value)
    eligible = tested & mask if tested.any() else present
    preference = np.where(eligible, mean(values), -np.inf) if eligible.any() else against.p_value
    best = int(np.nanargmax(preference))
    mask[best] = True
    return Choice(best, mask, against)


def probability_best(values: Floats) -> Floats:
    """Estimate the share of bootstrap studies in which each rate has the highest mean; NaN with one seed.

    Seeds are drawn with replacement, each with all its rates, since a seed's runs belong together. One seed
    fewer is drawn than there are (Rao and Wu 1988): drawing all of them makes means of 3 seeds scatter by a
    fifth too little, and scipy's `bootstrap` can draw no other number. Ties are shared out. The generator is
    fixed: same values, same answer.
    """
    rates, seeds = values.shape
    if seeds < 2:
        return np.full(rates, np.nan)
    drawn = np.random.default_rng(0).integers(0, seeds, (_DRAWS, seeds - 1))
    means = np.nan_to_num(mean(values[:, drawn]), nan=-np.inf)
    best = means >= means.max(axis=0) - 1e-12
    return np.asarray((best / best.sum(axis=0)).mean(axis=1), np.float64)


def _moments(values: Floats, rounding: float) -> tuple[Floats, Floats, NDArray[np.int_]]:
    """Compute mean, standard error and count over the last axis, NaN left out; an error takes two values.

    `rounding` is the variance that rounding contributes: step**2 / 12 for a value, twice that for a
    difference. It is added, though a scatter well above the step holds it already: few values can fall on one
    step by chance, and then nothing else would be left.
    """
    known = np.ma.masked_invalid(values)
    count = known.count(axis=-1)
    variance = np.ma.filled(known.var(axis=-1, ddof=1), np.nan)
    return mean(values), np.sqrt((variance + rounding) / np.maximum(count, 1)), count


def _upper_tail(mean: Floats, error: Floats, count: NDArray[np.int_]) -> Floats:
    """Compute one-sided p-values: how likely so high a mean is if the true one is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(stats.t.sf(mean / error, count - 1), np.float64)
