"""How a rate stands in the verdict: the words that the verdict, the charts and the page share. Pure."""

CHOSEN = "chosen"
NOT_DISTINGUISHABLE = "not distinguishable"
SCATTERED = "too scattered to tell"
"""Shown where the test cannot tell a rate from the best though its mean lies far below (`Verdict.shown`)."""
WORSE = "worse"
DIVERGED = "diverged"
UNKNOWN = "unknown"
"""With a single seed: no rate can be told from another."""

_FAR = 0.01


def is_far(gap: float) -> bool:
    """Whether a mean accuracy this much below the best one's is no near miss, whatever few seeds can tell."""
    return round(gap, 9) > _FAR
