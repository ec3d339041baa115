"""What the range test says, and whether the study agrees, in sentences."""

from pipeline.range_test.rules import Agreement, Suggestion
from pipeline.report.analysis.status import NOT_DISTINGUISHABLE, SCATTERED
from pipeline.report.analysis.verdict import Verdict
from pipeline.report.text import wording


def judgement(rule: str, suggestion: Suggestion, agreement: Agreement, verdict: Verdict) -> str:
    """Hold a rule's suggestion against the study."""
    beginning = f"{rule.capitalize()} suggests {rate(suggestion.median)}"
    if agreement.nearest is None:
        return f"{beginning}, which is outside of the study's grid: neither confirmed nor refuted."
    status = verdict.shown(verdict.rate(agreement.nearest))
    if agreement.agrees is None:
        opinion = "the study cannot say how good that is"
    elif agreement.nearest == verdict.learning_rate:
        opinion = "the study agrees, that is its choice"
    elif status == SCATTERED:
        opinion = f"far below the study's choice, though {status}"
    elif agreement.agrees:
        opinion = f"the study agrees, that rate is {NOT_DISTINGUISHABLE} from its choice"
    else:
        opinion = f"the study disagrees, that rate is {status}"
    return f"{beginning}, nearest to {wording.rate(agreement.nearest)}: {opinion}."


def span(suggestion: Suggestion) -> str:
    """Write a suggestion with its range over the seeds."""
    median, low, high = map(rate, suggestion)
    return median if low == high else f"{median} ({low} to {high})"


def rate(value: float) -> str:
    """Write a rate with two significant digits: the test is no more precise."""
    return wording.rate(float(f"{value:.1e}"))
