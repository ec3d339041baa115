"""How a rate stands in the verdict: the words that the verdict, the charts and the page share."""

CHOSEN = "chosen"
ALIKE = "not told apart"
WORSE = "worse"
INFEASIBLE = "infeasible"
UNKNOWN = "unknown"
"""With a single seed: no rate can be told from another."""
