"""McNemar's test of the chosen rate on the test examples, reported beside the choice: it chooses nothing.

docs/report.md says in words what each number means.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import stats

from pipeline.report.analysis.statistics import Bools, Floats
from pipeline.report.analysis.status import CHOSEN, DIVERGED
from pipeline.report.analysis.verdict import Verdict


class Discordance(NamedTuple):
    """McNemar's test of two rates; counts of examples that only one has right are sums over the seeds."""

    only_first: int
    only_second: int
    p_value: float


def check_on_test(verdict: Verdict, right: Mapping[float, Bools]) -> dict[float, Discordance]:
    """Test the chosen rate against each other feasible one, corrected for their number (Holm).

    Rates are compared on the seeds of which neither's run diverged, since a diverged run has no predictions;
    a rate without any such seed is left out.

    Args:
        right: for each rate, shape (seeds, test examples), whether the network that the run kept
            classifies the example right; seeds in the same order.
    """
    chosen, tests = verdict.chosen, {}
    if chosen is None:
        return {}
    for rate in verdict.rates:
        both = np.isfinite(chosen.values) & np.isfinite(rate.values)
        if rate.status not in (CHOSEN, DIVERGED) and both.any():
            ours, theirs = right[chosen.learning_rate][both], right[rate.learning_rate][both]
            tests[rate.learning_rate] = exact_test(ours, theirs)
    corrected = holm(np.array([test.p_value for test in tests.values()], dtype=np.float64))
    return {
        rate: test._replace(p_value=float(p_value))
        for (rate, test), p_value in zip(tests.items(), corrected, strict=True)
    }


def exact_test(first: Bools, second: Bools) -> Discordance:
    """Test two rates per seed by the exact binomial test, then combine the seeds.

    `first` and `second`, shape (seeds, examples), say what was classified right. Seeds are tested on the same
    examples, so that their p-values depend on each other; twice their median is a valid p-value under any
    dependence (Rüschendorf 1982).
    """
    only_first = (first & ~second).sum(axis=1)
    only_second = (second & ~first).sum(axis=1)
    # What scipy's binomtest computes; but that takes one seed at a time, and none without any such example.
    tails = stats.binom.cdf(np.minimum(only_first, only_second), only_first + only_second, 0.5)
    p_values = np.minimum(1.0, 2 * tails)
    combined = float(p_values[0]) if len(p_values) == 1 else min(1.0, 2 * float(np.median(p_values)))
    return Discordance(int(only_first.sum()), int(only_second.sum()), combined)


def holm(p_values: Floats) -> Floats:
    """Correct by Holm's step-down method, which scipy lacks: valid at once for all, as Bonferroni's is."""
    order = np.argsort(p_values)
    stepped = p_values[order] * np.arange(len(order), 0, -1)
    corrected = np.empty_like(p_values)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return corrected
