"""The report's statistics: known values, properties, and what they promise, on 1,000 simulated studies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.report.analysis import statistics

STEP = 1 / 5000
STUDIES = 1000


def simulate(
    truth: list[float], seeds: int, spread: float | list[float] = 0.001, shared: float = 0.0007, seed: int = 0
) -> np.ndarray:
    """Studies with known true accuracies, shape (STUDIES, rates, seeds).

    A seed shifts all its rates alike (initial weights, shuffles) and each on its own; accuracies are counted
    on 5,000 images. The spread within a rate is sqrt(spread**2 + shared**2): about 0.12 points.
    """
    noise = np.random.default_rng(seed)
    rates = len(truth)
    own = noise.normal(0, 1, (STUDIES, rates, seeds)) * np.reshape(spread, (-1, 1))
    values = np.reshape(truth, (-1, 1)) + own + noise.normal(0, shared, (STUDIES, 1, seeds))
    return np.round(values / STEP) * STEP


WIDE = [0.93, 0.955, 0.972, 0.9835, 0.9842, 0.984, 0.978, 0.961, 0.90]
UNEVEN = [0.008, 0.004, 0.002, 0.001, 0.001, 0.001, 0.0008, 0.0006, 0.0005]
TIED = [0.984] * 9


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_intervals_cover_the_truth_as_often_as_they_say(seeds: int) -> None:
    intervals = statistics.mean_intervals(simulate(WIDE, seeds, UNEVEN), STEP, 0.95)
    covered = (intervals.low <= WIDE) & (intervals.high >= WIDE)
    assert 0.93 <= covered.mean() <= 0.97


@pytest.mark.parametrize(("rates", "seeds", "share"), [(4, 3, 0.93), (8, 5, 0.85)])
def test_the_interval_of_the_highest_of_equal_means_covers_less_often(
    rates: int, seeds: int, share: float
) -> None:
    """As docs/report.md says; the page says so beside the interval."""
    studies = simulate([0.984] * rates, seeds, 0.001, 0.0)
    intervals = statistics.mean_intervals(studies, STEP, 0.95)
    chosen = np.arange(STUDIES), intervals.mean.argmax(axis=1)
    covered = (intervals.low[chosen] <= 0.984) & (intervals.high[chosen] >= 0.984)
    assert covered.mean() == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_of_all_pairs_cover_at_once(seeds: int) -> None:
    pairs = statistics.compare_pairs(simulate(WIDE, seeds, UNEVEN), STEP, 0.95)
    true = np.array(WIDE)[pairs.first] - np.array(WIDE)[pairs.second]
    assert ((pairs.low <= true) & (pairs.high >= true)).all(axis=-1).mean() >= 0.95


CASES = {
    "uneven": (WIDE, UNEVEN),
    "even": (WIDE, 0.001),
    "two": (WIDE[3:5], 0.001),
    "tied": (TIED, 0.001),
    "tied-uneven": (TIED, UNEVEN),
    "noisy-best": ([0.984, 0.983, 0.95], [0.004, 0.001, 0.001]),
    "quiet": (WIDE, 0.0003),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_set_not_distinguishable_from_the_best_holds_the_best(case: str, seeds: int) -> None:
    truth, spread = CASES[case]
    best = np.equal(truth, max(truth))  # of several that tie, each is one
    p_values = statistics.challenge(simulate(truth, seeds, spread), STEP, 0.95).p_value
    assert (p_values[:, best] > 0.05).mean() >= 0.95


@pytest.mark.parametrize("rates", [4, 9])
def test_rates_worse_by_a_point_are_found_worse_with_five_seeds(rates: int) -> None:
    truth = [0.984, 0.9835, *[0.974] * (rates - 2)]
    studies = simulate(truth, 5)
    kept = statistics.challenge(studies, STEP, 0.95).p_value > 0.05
    np.testing.assert_array_equal(
        kept[:50], [statistics.choose(values, STEP, 0.95).mask for values in studies[:50]]
    )
    assert (~kept[:, 2:]).mean() >= 0.9
    assert kept[:, 0].mean() >= 0.95


def test_the_intervals_of_paired_differences_ignore_what_a_seed_shifts_alike() -> None:
    quiet = statistics.compare_pairs(np.array([[0.98, 0.981, 0.979], [0.97, 0.9712, 0.969]]), STEP, 0.95)
    shift = np.array([0.1, -0.3, 0.2])
    moved = statistics.compare_pairs(
        np.array([[0.98, 0.981, 0.979], [0.97, 0.9712, 0.969]]) + shift, STEP, 0.95
    )
    np.testing.assert_allclose([quiet.low, quiet.high], [moved.low, moved.high])


def test_two_rates_agree_with_scipys_paired_test() -> None:
    first, second = np.array([0.981, 0.983, 0.98, 0.985]), np.array([0.98, 0.979, 0.981, 0.978])
    expected = stats.ttest_rel(first, second)
    pairs = statistics.compare_pairs(np.stack([first, second]), 0.0, 0.95)
    interval = expected.confidence_interval(0.95)
    assert pairs.p_value[0] == pytest.approx(expected.pvalue)
    assert (pairs.low[0], pairs.high[0]) == pytest.approx((interval.low, interval.high))
    one_sided = stats.ttest_rel(first, second, alternative="greater").pvalue
    assert statistics.challenge(np.stack([first, second]), 0.0, 0.95).p_value == pytest.approx(
        [1 - one_sided, one_sided]
    )


def test_a_mean_agrees_with_scipys_interval() -> None:
    values = np.array([[0.981, 0.983, 0.98, 0.985]])
    expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values[0]))
    intervals = statistics.mean_intervals(values, 0.0, 0.95)
    assert (intervals.low[0], intervals.high[0]) == pytest.approx(expected)


def test_equal_values_prove_no_more_than_their_rounding_allows() -> None:
    values = np.array([[0.9802] * 3, [0.98] * 3])
    intervals = statistics.mean_intervals(values, STEP, 0.95)
    half = stats.t.ppf(0.975, 2) * STEP / np.sqrt(12 * 3)
    np.testing.assert_allclose([intervals.mean - intervals.low, intervals.high - intervals.mean], half)
    pair, error = statistics.compare_pairs(values, STEP, 0.95), STEP / np.sqrt(6 * 3)
    assert pair.p_value[0] == pytest.approx(2 * stats.t.sf(STEP / error, 2))
    assert pair.high[0] - STEP == pytest.approx(stats.t.ppf(0.975, 2) * error)
    challenge = statistics.challenge(values, STEP, 0.95)
    assert challenge.p_value[1] == pytest.approx(stats.t.sf(STEP / error, 2))
    assert challenge.at_least[1] == pytest.approx(STEP - stats.t.ppf(0.95, 2) * error)


def test_a_difference_that_never_varies_is_certain_where_nothing_is_rounded() -> None:
    values = np.array([[0.75] * 3, [0.5] * 3])
    assert statistics.compare_pairs(values, 0.0, 0.95).p_value[0] == 0
    assert statistics.challenge(values, 0.0, 0.95).p_value.tolist() == [1, 0]


def test_a_challenge_of_three_is_two_one_sided_paired_tests_corrected_for_two() -> None:
    values = np.array([[0.981, 0.983, 0.98, 0.985], [0.98, 0.979, 0.981, 0.978], [0.97, 0.972, 0.971, 0.969]])
    against = statistics.challenge(values, 0.0, 0.95)
    last = [stats.ttest_rel(other, values[2], alternative="greater") for other in values[:2]]
    rival = int(np.argmin([test.pvalue for test in last]))

    assert against.rival[2] == rival
    assert against.p_value[2] == pytest.approx(2 * last[rival].pvalue)
    assert against.gap[2] == pytest.approx((values[rival] - values[2]).mean())
    interval = last[rival].confidence_interval(0.975)  # 1 - 0.05 / 2
    assert against.at_least[2] == pytest.approx(interval.low)


def test_corrected_p_values_do_not_exceed_1() -> None:
    alike = np.array([[0.98, 0.981, 0.979], [0.981, 0.979, 0.98], [0.979, 0.98, 0.981]])
    assert statistics.compare_pairs(alike, STEP, 0.95).p_value.tolist() == [1, 1, 1]
    assert statistics.challenge(alike, STEP, 0.95).p_value.tolist() == [1, 1, 1]


def test_a_single_rate_may_be_the_best() -> None:
    against = statistics.challenge(np.array([[0.98, 0.981, 0.979]]), STEP, 0.95)
    assert against.p_value.tolist() == [1.0]
    assert np.isnan([*against.gap, *against.at_least]).all()


def test_one_seed_tells_nothing() -> None:
    values = np.array([[0.98], [0.5]])
    assert np.isnan(statistics.mean_intervals(values, STEP, 0.95).low).all()
    assert np.isnan(statistics.compare_pairs(values, STEP, 0.95).p_value).all()
    assert np.isnan(statistics.probability_best(values)).all()
    choice = statistics.choose(values, STEP, 0.95)
    assert choice.best == 0
    assert choice.mask.all()


def test_a_missing_run_costs_its_seed_in_that_rates_comparisons_alone() -> None:
    values = np.array([[0.98, 0.981, np.nan, 0.982], [0.97, 0.972, 0.971, 0.97], [0.98, 0.979, 0.981, 0.98]])
    pairs = statistics.compare_pairs(values, STEP, 0.95)
    first = statistics.compare_pairs(values[:2, [0, 1, 3]], STEP, 0.95)
    assert pairs.difference[0] == pytest.approx(first.difference[0])
    assert pairs.p_value[0] == pytest.approx(3 * first.p_value[0])
    assert np.isfinite(pairs.p_value).all()


def test_rates_without_any_value_do_not_count() -> None:
    values = np.array([[0.981, 0.983, 0.98], [0.98, 0.979, 0.981], [0.97, 0.972, 0.971]])
    blank = np.full((1, 3), np.nan)
    alone, among = (
        statistics.challenge(table, STEP, 0.95) for table in (values, np.concatenate([blank, values, blank]))
    )
    for name in ("p_value", "gap", "at_least"):
        np.testing.assert_array_equal(getattr(among, name), [np.nan, *getattr(alone, name), np.nan])
    np.testing.assert_array_equal(among.rival[1:-1], alone.rival + 1)


def test_without_any_value_nothing_is_chosen() -> None:
    best, mask, _ = statistics.choose(np.full((2, 3), np.nan), STEP, 0.95)
    assert best is None
    assert not mask.any()


def test_means_leave_out_what_is_missing() -> None:
    values = np.array([[1.0, 2.0, 6.0], [1.0, np.nan, 2.0], [np.nan] * 3])
    np.testing.assert_array_equal(statistics.mean(values), [3.0, 1.5, np.nan])


@given(
    st.integers(1, 6).flatmap(
        lambda rates: st.lists(
            st.lists(st.integers(4000, 5000), min_size=3, max_size=3), min_size=rates, max_size=rates
        )
    )
)
@settings(max_examples=60, deadline=None)
def test_the_choice_has_the_highest_mean_and_none_beats_it(counts: list[list[int]]) -> None:
    values = np.array(counts) / 5000
    best, mask, _ = statistics.choose(values, STEP, 0.95)
    assert mask[best]
    assert values.mean(axis=1)[best] == pytest.approx(values.mean(axis=1).max())
    challenge = statistics.challenge(values, STEP, 0.95)
    np.testing.assert_array_equal(challenge.p_value <= 0.05, ~mask)
    if len(values) > 1:
        beaten = ~mask
        assert (challenge.at_least[beaten] >= -1e-12).all()
        assert (challenge.at_least[~beaten] <= 1e-12).all()


def test_where_each_beats_another_on_other_seeds_the_choice_is_the_least_beaten() -> None:
    nan = np.nan
    values = np.array(
        [
            [0.90, 0.90, 0.90, 0.91, 0.91, 0.91, nan, nan, nan],
            [0.91, 0.91, 0.91, nan, nan, nan, 0.90, 0.90, 0.90],
            [nan, nan, nan, 0.90, 0.90, 0.90, 0.913, 0.914, 0.915],
        ]
    )
    p_values = statistics.challenge(values, STEP, 0.95).p_value
    assert (p_values <= 0.05).all()
    best, mask, _ = statistics.choose(values, STEP, 0.95)
    assert best == p_values.argmax() == 1
    assert mask.tolist() == [False, True, False]


def test_the_probability_of_being_best_is_shared_by_twins_and_sums_to_one() -> None:
    values = np.array([[0.98, 0.99, 0.97], [0.98, 0.99, 0.97], [0.5, 0.6, 0.7]])
    chances = statistics.probability_best(values)
    assert chances == pytest.approx([0.5, 0.5, 0])
    np.testing.assert_array_equal(chances, statistics.probability_best(values))


def test_the_bootstraps_means_scatter_as_means_of_so_many_seeds_do() -> None:
    """With values +-1 the chance of a positive mean is known: 3 seeds drawn as 2, both must be positive."""
    values = np.array([[1.0, 1.0, -1.0], [0.0, 0.0, 0.0]])
    assert statistics.probability_best(values)[0] == pytest.approx(
        (2 / 3) ** 2 + 0.5 * 2 * (2 / 9), abs=0.015
    )
    # Two are drawn, not one and not three: the mean is positive if the first seed is among them.
    lucky = np.array([[3.0, -1.0, -1.0], [0.0, 0.0, 0.0]])
    chances = statistics.probability_best(lucky)
    assert chances[0] == pytest.approx(1 - (2 / 3) ** 2, abs=0.015)
    np.testing.assert_array_equal(chances, statistics.probability_best(lucky))


def test_two_seeds_are_enough_for_a_probability() -> None:
    chances = statistics.probability_best(np.array([[0.9, 0.5], [0.6, 0.6]]))
    assert chances == pytest.approx([0.5, 0.5], abs=0.015)


def test_a_bootstrap_study_without_a_rates_runs_is_not_won_by_it() -> None:
    """Of 9 equally likely draws of two seeds, the first rate's known values average above -0.4 in 5."""
    values = np.array([[np.nan, -0.1, -0.5], [-0.4, -0.4, -0.4]])
    assert statistics.probability_best(values)[0] == pytest.approx(5 / 9, abs=0.015)
