"""What the range test says, and whether the study agrees. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.range_test import rules
from pipeline.range_test.rules import Agreement, Suggestion
from pipeline.report.analysis.status import SCATTERED
from pipeline.report.analysis.verdict import Verdict
from pipeline.report.text import wording


class RampWords(NamedTuple):
    """Attributes:

    sentences: one for each rule.
    rows: rule and suggestion, as texts.
    agreements: by rule.
    """

    intro: str
    sentences: Sequence[str]
    rows: Sequence[tuple[str, str]]
    agreements: Mapping[str, Agreement]


def explain(suggestions: Mapping[str, Suggestion], verdict: Verdict) -> RampWords:
    """Say it."""
    grid = [rate.learning_rate for rate in verdict.rates]
    agreements = {
        rule: rules.judge(one.median, grid, verdict.learning_rate, verdict.near)
        for rule, one in suggestions.items()
    }
    sentences = [_sentence(rule, suggestions[rule], agreements[rule], verdict) for rule in suggestions]
    return RampWords(
        "Some hundred steps while the rate rises, apart from the study's runs. Common rules read a rate "
        "from where the loss falls; the study has trained at the rates themselves, and its word counts.",
        sentences or ["The loss never fell while the rate rose: there is nothing to read from it."],
        [(f"{rule}: {rules.RULES.get(rule, rule)}", _range(one)) for rule, one in suggestions.items()],
        agreements,
    )


def _sentence(rule: str, suggestion: Suggestion, agreement: Agreement, verdict: Verdict) -> str:
    said = f"{rule.capitalize()} suggests {_short(suggestion.median)}"
    if agreement.nearest is None:
        return f"{said}, which is outside of the study's grid: neither confirmed nor refuted."
    name = wording.rate(agreement.nearest)
    status = verdict.shown(verdict.rate(agreement.nearest))
    if agreement.agrees is None:
        return f"{said}, nearest to {name}: the study cannot say how good that is."
    if agreement.nearest == verdict.learning_rate:
        return f"{said}, nearest to {name}: the study agrees, that is its choice."
    if status == SCATTERED:
        return f"{said}, nearest to {name}: far below the study's choice, though {status}."
    if agreement.agrees:
        return f"{said}, nearest to {name}: the study agrees, that rate cannot be told from its choice."
    return f"{said}, nearest to {name}: the study disagrees, that rate is {status}."


def _range(suggestion: Suggestion) -> str:
    if suggestion.low == suggestion.high:
        return _short(suggestion.median)
    return f"{_short(suggestion.median)} ({_short(suggestion.low)} to {_short(suggestion.high)})"


def _short(rate: float) -> str:
    """Two significant digits: the test is no more precise."""
    return wording.rate(float(f"{rate:.1e}"))
