"""The words for a rate's status, which the verdict, the charts and the page share."""

CHOSEN = "chosen"
NOT_DISTINGUISHABLE = "not distinguishable"
SCATTERED = "too scattered to tell"
"""Shown for a rate not distinguishable from the best whose mean lies far below (`Verdict.shown`)."""
WORSE = "worse"
DIVERGED = "diverged"
UNKNOWN = "unknown"
"""With a single seed no test is possible."""

_FAR = 0.01


def is_far(gap: float) -> bool:
    """Decide whether a mean accuracy lies too far below the best one's to be near, whatever a test says."""
    return round(gap, 9) > _FAR
