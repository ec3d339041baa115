"""Intervals, paired tests and the rate to choose: arrays in, numbers out.

`values` has shape (rates, seeds), rates rising, higher is better, NaN where a run has no value; all but
`choose` also take (studies, rates, seeds), and do each study by itself. A column is one seed: its runs share
initial weights and shuffles, so rates are compared within columns (paired), and every pair of rates has a
variance of its own, since high rates scatter more than low ones. docs/report.md says in words what each
number means, and shows what spoke for these rules. Knows no learning rates, no files, no thresholds.

scipy's `ttest_rel` and `sem` know no variance of rounding, without which three equal values would have an
interval of no width; so the t tests are put together here, from scipy's distribution.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Ints = NDArray[np.int_]
Bools = NDArray[np.bool_]

LOOKS = (3, 5, 8, 12, 20)
"""Numbers of seeds at which a study may be looked at and be continued. Each look spends an equal part of the
error that is allowed, so that the level holds for all of them together; beyond the last one it does not."""
COUNTED_ON = 0.8
"""How likely a new run at the chosen rate is to reach the bound by which rates are chosen."""
_PRIOR = 8
"""Degrees of freedom for which the common spread counts against a rate's own."""


class Intervals(NamedTuple):
    """Means and their bounds, each of shape (rates,); bounds are NaN with fewer than two values."""

    mean: Floats
    low: Floats
    high: Floats


class Challenge(NamedTuple):
    """What the others say against each rate's being the best, or as good; each of shape (rates,).

    Attributes:
        p_value: how compatible the values are with the rate being the best, in [0, 1]; at most
            1 - confidence, the rival beats it. NaN for a rate with fewer than two seeds in common with any
            other.
        rival: index of that other rate; undefined where the p-value is NaN.
        gap, at_least: how much the rival is above it in the mean, and at the confidence.
        at_most: how far it may lie below the best, at the confidence; infinite where some other rate cannot
            be compared with it.
        seeds: the next look at which it would be beaten, or within the margin of the best, if means and
            spreads stay as they are; 0 if it is at none.
    """

    p_value: Floats
    rival: NDArray[np.intp]
    gap: Floats
    at_least: Floats
    at_most: Floats
    seeds: Ints


class Choice(NamedTuple):
    """The index of the rate to choose, None if no rate has values, and what speaks for and against each.

    Attributes, each of shape (rates,) unless said otherwise:
        mask: the rates that may be as good as the best, the chosen one among them; with one seed, all that
            have values.
        equivalent: those of them that are known to be within the margin of the best.
        dependable: see `prediction_bounds`; NaN for rates that were not in question.
        settled: whether more seeds cannot make another choice better by more than the margin; one bool.
    """

    best: int | None
    mask: Bools
    equivalent: Bools
    dependable: Floats
    settled: bool
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


def prediction_bounds(values: Floats, resolution: float) -> Floats:
    """Bound from below what a new run reaches with probability `COUNTED_ON`, whichever rate is chosen.

    The highest of several bounds flatters itself, so each misses only its part of what is allowed
    (Bonferroni). Few seeds estimate a spread badly, so each rate's variance is averaged with the geometric
    mean of all: give rates that are about equally good, whose spreads are more alike than those of a grid.

    Args:
        values: of rates that all have some.

    Returns:
        The means where no rate has two values.
    """
    center, error, count = _moments(values, resolution**2 / 12)
    with np.errstate(divide="ignore"):
        common = np.exp(mean(np.log(error**2 * count)))[..., None]
    prior = np.where((count > 1).sum(axis=-1, keepdims=True) > 1, _PRIOR, 0)  # a rate tells itself nothing
    degrees = np.maximum(prior + count - 1, 1)
    variance = np.where(count > 1, (prior * common + (count - 1) * error**2 * count) / degrees, common)
    factor = stats.t.isf((1 - COUNTED_ON) / values.shape[-2], degrees)
    return np.asarray(center - factor * np.nan_to_num(np.sqrt(variance * (1 + 1 / count))), np.float64)


def challenge(values: Floats, resolution: float, confidence: float, margin: float) -> Challenge:
    """Ask of each rate: may it be the best of all, and is it within the margin of the best?

    The rates that none beats are a confidence set for the best one (subset selection, Gupta 1965; multiple
    comparisons with the best, Hsu 1984): were rate i the best, its rates - 1 one-sided paired tests against
    the others would all be tests of a true hypothesis, and by Bonferroni's inequality the chance that any
    one of them rejects is at most their number times the level of each. Nor is a rate that lies more than
    the margin below the best called equivalent more often: it would have to pass its test against that best.
    At most rates - 1 rates are so far below. The level of a look is a part of the whole (Bonferroni again).
    Rates without any value do not count.
    """
    rates, seeds = values.shape[-2:]
    present = np.asarray(np.isfinite(values).any(axis=-1))
    others = np.maximum(present.sum(axis=-1, keepdims=True) - 1, 1)
    level = (1 - confidence) / len(LOOKS) / others[..., None]
    differences = values[..., None, :, :] - values[..., :, None, :]  # [i, j]: how much j is above i
    center, error, count = _moments(differences, resolution**2 / 6)
    compared = present[..., None, :] & ~np.eye(rates, dtype=bool)

    def bound(error: Floats, count: Ints | int) -> tuple[Floats, Floats]:
        """Bound how much the rival is above each rate, and the best is above it at most."""
        half = stats.t.isf(level, np.subtract(count, 1)) * error
        highest = np.where(compared, np.nan_to_num(center + half, nan=np.inf), -np.inf).max(axis=-1)
        below: Floats = center - half
        return below, np.where(present & (seeds > 1), np.maximum(highest, 0), np.inf)

    tail = np.where(compared, _upper_tail(center, error, count), np.nan)
    rival = np.where(np.isfinite(tail), tail, np.inf).argmin(axis=-1)
    low, at_most = bound(error, count)
    smallest, gap, at_least = (
        np.take_along_axis(table, rival[..., None], axis=-1)[..., 0] for table in (tail, center, low)
    )
    decided = np.zeros_like(rival)
    for look in LOOKS[::-1]:
        later, farthest = bound(error * np.sqrt(count / look), look)
        settles = (compared & (later > 0)).any(axis=-1) | (farthest < margin)
        decided = np.where(settles & (look > seeds), look, decided)
    known = np.isfinite(smallest)
    alone = present & (present.sum(axis=-1, keepdims=True) == 1) & (seeds > 1)
    return Challenge(
        np.where(known, np.minimum(1.0, smallest * others * len(LOOKS)), np.where(alone, 1.0, np.nan)),
        rival,
        np.where(known, gap, np.nan),
        np.where(known, at_least, np.nan),
        at_most,
        decided,
    )


def choose(values: Floats, resolution: float, confidence: float, margin: float) -> Choice:
    """Choose a rate, and find those that may be as good.

    Of the rates that may be as good as the best, and whose means lie less than half the margin below the
    highest of these means (the other half is for the means' own errors), the choice is the one with the
    highest bound for a new run, the first of several. A rate can owe its mean to the absence of a hard seed:
    one that lacks seeds is left out if it is beaten, or has too few to be tested and others have enough.
    Tests on different seeds may contradict each other until every rate is beaten; then the choice is the one
    that is most compatible with being the best.

    Args:
        values: NaN in every column for a rate that is out of the question.
    """
    present = np.asarray(np.isfinite(values).any(axis=1))
    against = challenge(values, resolution, confidence, margin)
    equivalent = against.at_most < margin
    beaten = against.p_value <= 1 - confidence
    mask = present & (equivalent | ~beaten)
    dependable = np.full(len(values), np.nan)
    if not present.any():
        return Choice(None, mask, equivalent, dependable, False, against)
    tested = np.isfinite(against.p_value)
    complete = np.isfinite(values).all(axis=1)
    eligible = tested & mask & (complete | ~beaten) if tested.any() else present
    means = mean(values)
    eligible &= means > np.max(means, where=eligible, initial=-np.inf) - margin / 2
    if not eligible.any():
        eligible[np.nanargmax(against.p_value)] = True
    dependable[eligible] = prediction_bounds(values[eligible], resolution)
    best = int(np.nanargmax(dependable.round(12)))
    mask[best] = True
    return Choice(best, mask, equivalent, dependable, bool(equivalent[best]), against)


def _moments(values: Floats, rounding: float) -> tuple[Floats, Floats, Ints]:
    """Compute mean, standard error and count over the last axis, NaN left out; an error takes two values.

    `rounding` is the variance that rounding contributes: step**2 / 12 for a value, twice that for a
    difference. It is added, though a scatter well above the step holds it already: few values can fall on one
    step by chance, and then nothing else would be left.
    """
    known = np.ma.masked_invalid(values)
    count = known.count(axis=-1)
    variance = np.ma.filled(known.var(axis=-1, ddof=1), np.nan)
    return mean(values), np.sqrt((variance + rounding) / np.maximum(count, 1)), count


def _upper_tail(mean: Floats, error: Floats, count: Ints) -> Floats:
    """Compute one-sided p-values: how likely so high a mean is if the true one is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(stats.t.sf(mean / error, count - 1), np.float64)
