"""McNemar's test of the chosen rate on the test images, reported beside the choice: it chooses nothing.

Pure. docs/report.md says in words what each number means.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.report.analysis.status import NOT_DISTINGUISHABLE, UNKNOWN, WORSE
from pipeline.report.analysis.verdict import Verdict

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Discordance(NamedTuple):
    """McNemar's test of two rates on one set of images, over several seeds.

    Attributes:
        only_first, only_second: images that only the one or only the other classifies right, all seeds.
        p_value: exact; see `compare`.
    """

    only_first: int
    only_second: int
    p_value: float


def check_on_test(verdict: Verdict, right: Mapping[float, Bools]) -> dict[float, Discordance]:
    """McNemar's test of the chosen rate against each other feasible one, corrected for their number (Holm).

    Rates are compared on the seeds of which neither's run diverged, since a diverged run has no predictions;
    a rate without any such seed is left out.

    Args:
        right: for each feasible rate, shape (seeds, test images), whether the last epoch's network
            classifies the image right; seeds in the same order.
    """
    if verdict.learning_rate is None:
        return {}
    chosen, others, found = verdict.rate(verdict.learning_rate), [], []
    for rate in verdict.rates:
        both = np.isfinite(chosen.values) & np.isfinite(rate.values)
        if rate.status in (NOT_DISTINGUISHABLE, WORSE, UNKNOWN) and both.any():
            others.append(rate.learning_rate)
            ours, theirs = right[chosen.learning_rate][both], right[rate.learning_rate][both]
            found.append(compare(ours, theirs))
    corrected = holm(np.array([one.p_value for one in found], dtype=np.float64))
    return {
        other: one._replace(p_value=float(p_value))
        for other, one, p_value in zip(others, found, corrected, strict=True)
    }


def compare(first: Bools, second: Bools) -> Discordance:
    """Exact McNemar test, per seed, then combined over seeds.

    Seeds are tested on the same images, so that their p-values depend on each other; twice their median is
    a valid p-value under any dependence (Rüschendorf 1982).

    Args:
        first, second: shape (seeds, images), whether the image was classified right.
    """
    only_first = (first & ~second).sum(axis=1)
    only_second = (second & ~first).sum(axis=1)
    discordant = only_first + only_second
    tails = 2 * stats.binom.cdf(np.minimum(only_first, only_second), discordant, 0.5)
    p_values = np.minimum(1.0, tails)
    combined = float(p_values[0]) if len(p_values) == 1 else min(1.0, 2 * float(np.median(p_values)))
    return Discordance(int(only_first.sum()), int(only_second.sum()), combined)


def holm(p_values: Floats) -> Floats:
    """Holm's step-down correction: valid at once for all, never weaker than Bonferroni's; NaN stays NaN."""
    corrected = np.full(p_values.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    stepped = p_values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return corrected
