"""McNemar's test on the test images: known values, what it promises, which rates and seeds it is asked of."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.report.analysis import mcnemar
from pipeline.report.analysis.status import NOT_DISTINGUISHABLE
from tests.report.samples import NAN, STUDY, decide, setting_with


def test_a_corrected_p_value_does_not_exceed_1() -> None:
    first = np.array([[True, False]])
    assert mcnemar.exact_test(first, ~first) == (1, 1, 1.0)
    assert mcnemar.exact_test(np.repeat(first, 3, axis=0), np.repeat(~first, 3, axis=0)) == (3, 3, 1.0)


def test_mcnemar_agrees_with_the_exact_binomial_test() -> None:
    noise = np.random.default_rng(0)
    first, second = noise.random((1, 300)) < 0.9, noise.random((1, 300)) < 0.85
    test = mcnemar.exact_test(first, second)
    total = test.only_first + test.only_second
    assert test.p_value == pytest.approx(stats.binomtest(test.only_first, total).pvalue)
    assert test.only_first == (first & ~second).sum()


def test_mcnemar_of_equal_predictions_finds_nothing() -> None:
    same = np.random.default_rng(0).random((3, 200)) < 0.9
    assert mcnemar.exact_test(same, same) == (0, 0, 1.0)


def test_mcnemar_over_seeds_is_twice_the_median_of_theirs() -> None:
    """Per seed 12, 9 and 10 images that only the first has right, and 0, 1 and 0 that only the second has."""
    first, second = np.zeros((3, 20), bool), np.zeros((3, 20), bool)
    for seed, (ours, theirs) in enumerate([(12, 0), (9, 1), (10, 0)]):
        first[seed, :ours] = True
        second[seed, ours : ours + theirs] = True
    assert mcnemar.exact_test(first, second) == (31, 1, pytest.approx(2 * stats.binomtest(0, 10).pvalue))


def test_mcnemar_over_seeds_is_valid_though_they_share_their_images() -> None:
    """Networks equally good, seeds strongly alike: it rejects no more often than it says."""
    noise = np.random.default_rng(0)
    rejected = 0
    for _ in range(400):
        difficulty = noise.random(400)
        tilt = noise.random((2, 400))
        right = (difficulty + 0.3 * tilt)[:, None, :] + 0.05 * noise.random((2, 3, 400)) < 1.1
        rejected += mcnemar.exact_test(right[0], right[1]).p_value < 0.05
    assert rejected / 400 <= 0.06


def test_holm_matches_its_definition() -> None:
    p_values = np.array([0.01, 0.04, 0.03, 0.005])
    assert mcnemar.holm(p_values) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_holm_keeps_the_order_and_never_exceeds_bonferroni(p_values: list[float]) -> None:
    corrected = mcnemar.holm(np.array(p_values))
    assert (corrected <= np.minimum(1, np.array(p_values) * len(p_values)) + 1e-12).all()
    assert (corrected >= np.array(p_values) - 1e-12).all()
    for first, second in itertools.permutations(range(len(p_values)), 2):
        if p_values[first] < p_values[second]:
            assert corrected[first] <= corrected[second] + 1e-12


def test_mcnemar_compares_the_chosen_rate_with_each_feasible_other() -> None:
    noise = np.random.default_rng(0)
    right = {rate: noise.random((3, 500)) < 0.95 for rate in STUDY}
    right[0.0001] = noise.random((3, 500)) < 0.7
    tested = mcnemar.check_on_test(decide(STUDY), right)
    assert set(tested) == {0.0001, 0.01, 0.1}
    assert tested[0.0001].p_value < 0.001 < tested[0.01].p_value
    alone = {rate: mcnemar.exact_test(right[0.001], right[rate]) for rate in tested}
    corrected = mcnemar.holm(np.array([test.p_value for test in alone.values()]))
    assert [test.p_value for test in tested.values()] == corrected.tolist()
    assert [test[:2] for test in tested.values()] == [test[:2] for test in alone.values()]


def test_mcnemar_leaves_out_the_seeds_of_diverged_runs_and_rates_without_another() -> None:
    studied = {0.1: [NAN, 0.97, 0.97, NAN], 0.01: [0.98, 0.98, 0.98, NAN], 0.001: [NAN, NAN, NAN, 0.95]}
    decision = decide(studied, setting=setting_with("report", diverged_share=0.75))
    noise = np.random.default_rng(0)
    right = {
        rate: (noise.random((4, 500)) < 0.95) & np.isfinite(values)[:, None]
        for rate, values in studied.items()
    }
    assert (decision.learning_rate, decision.rate(0.001).status) == (0.01, NOT_DISTINGUISHABLE)
    assert mcnemar.check_on_test(decision, right) == {
        0.1: mcnemar.exact_test(right[0.01][1:3], right[0.1][1:3])
    }


def test_mcnemar_is_asked_nothing_where_nothing_is_chosen() -> None:
    assert mcnemar.check_on_test(decide({0.1: [NAN, NAN]}), {}) == {}
