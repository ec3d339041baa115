"""The range test's suggestions, compared with the study's choice."""

import pytest

from pipeline.report.analysis.range_test import Agreement, judge
from tests.report.samples import verdict_on


@pytest.mark.parametrize(
    ("suggestion", "expected"),
    [
        (0.0012, Agreement(0.001, True)),
        (0.008, Agreement(0.01, None)),
        (0.09, Agreement(0.1, False)),
        (0.9, Agreement(None, None)),
        (1e-6, Agreement(None, None)),
    ],
)
def test_a_suggestion_is_compared_with_the_nearest_configured_rate(
    suggestion: float, expected: Agreement
) -> None:
    assert judge(suggestion, verdict_on([0.1, 0.01, 0.001], 0.001, (0.01,))) == expected


def test_a_suggestion_that_diverged_is_not_agreed_with() -> None:
    assert judge(0.001, verdict_on([0.01, 0.001], None)) == Agreement(0.001, False)


def test_with_one_seed_only_the_choice_itself_agrees() -> None:
    decision = verdict_on([0.01, 0.001], 0.01, seeds=(0,))
    assert judge(0.001, decision) == Agreement(0.001, None)
    assert judge(0.01, decision) == Agreement(0.01, True)
