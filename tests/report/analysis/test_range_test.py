"""The range test's suggestions, compared with the study's choice."""

import pytest

from pipeline.report.analysis.range_test import Agreement, judge
from tests.report.samples import decide, verdict_on


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


@pytest.mark.parametrize(
    ("rates", "suggestion", "nearest"),
    [
        ([100.0, 1.0, 0.1], 10**0.5 / 100, 0.1),  # half a step of the grid is still judged, at either end
        ([100.0, 1.0, 0.1], 0.031, None),
        ([100.0, 1.0, 0.1], 999.0, 100.0),
        ([100.0, 1.0, 0.1], 1001.0, None),
        ([100.0, 1.0], 0.1, 1.0),
        ([100.0, 1.0], 1000.0, 100.0),
        ([1.0], 1.7, 1.0),  # a single rate has no step: a quarter of a decade
        ([1.0], 1.8, None),
        ([1.0], 0.57, 1.0),
        ([1.0], 0.56, None),
    ],
)
def test_a_suggestion_beyond_the_grid_is_not_judged(
    rates: list[float], suggestion: float, nearest: float | None
) -> None:
    assert judge(suggestion, verdict_on(rates, 1.0)).nearest == nearest


def test_a_rate_that_is_equivalent_agrees() -> None:
    equal = [0.98, 0.981, 0.982, 0.98, 0.981]
    assert judge(0.1, decide({0.1: equal, 0.01: equal})) == Agreement(0.1, True)


def test_a_suggestion_that_diverged_is_not_agreed_with() -> None:
    assert judge(0.001, verdict_on([0.01, 0.001], None)) == Agreement(0.001, False)


def test_with_one_seed_only_the_choice_itself_agrees() -> None:
    decision = verdict_on([0.01, 0.001], 0.01, seeds=(0,))
    assert judge(0.001, decision) == Agreement(0.001, None)
    assert judge(0.01, decision) == Agreement(0.01, True)
