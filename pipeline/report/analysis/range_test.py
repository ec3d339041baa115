"""The range test's suggestions, compared with the study's choice."""

from typing import NamedTuple

import numpy as np

from pipeline.report.analysis.status import CHOSEN, DIVERGED, EQUIVALENT, WORSE
from pipeline.report.analysis.verdict import Verdict


class Agreement(NamedTuple):
    """What the study says about a suggestion.

    Attributes:
        nearest: the configured rate that it comes nearest to; None if it lies outside the grid.
        agrees: whether that is the chosen rate or equivalent; None if the study cannot tell.
    """

    nearest: float | None
    agrees: bool | None


def judge(suggestion: float, verdict: Verdict) -> Agreement:
    """Compare a suggested rate with the chosen one."""
    rates = verdict.grid
    logs, log = np.log10(rates), np.log10(suggestion)
    # Beyond the grid's ends, half of the step there still belongs to the last rate.
    steps = np.diff(logs) if len(logs) > 1 else [0.5]
    if not logs[0] - steps[0] / 2 <= log <= logs[-1] + steps[-1] / 2:
        return Agreement(None, None)
    nearest = rates[np.abs(logs - log).argmin()]
    known = {CHOSEN: True, EQUIVALENT: True, WORSE: False, DIVERGED: False}
    return Agreement(nearest, known.get(verdict.rate(nearest).status))
