"""The report's statistics: known values, properties, and what they promise, on 1,000 simulated studies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks import verdicts
from benchmarks.verdicts import Source
from pipeline.report.analysis import statistics

STEP, MARGIN = 1 / 5000, 0.002
STUDIES = 1000
LOOKS = len(statistics.LOOKS)


def challenge(values: np.ndarray, step: float = STEP) -> statistics.Challenge:
    return statistics.challenge(values, step, 0.95, MARGIN)


def choose(values: np.ndarray, step: float = STEP, margin: float = MARGIN) -> statistics.Choice:
    return statistics.choose(values, step, 0.95, margin)


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
    p_values = challenge(simulate(truth, seeds, spread)).p_value
    assert (p_values[:, best] > 0.05).mean() >= 0.95


def test_a_mean_agrees_with_scipys_interval() -> None:
    values = np.array([[0.981, 0.983, 0.98, 0.985]])
    expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values[0]))
    intervals = statistics.mean_intervals(values, 0.0, 0.95)
    assert (intervals.low[0], intervals.high[0]) == pytest.approx(expected)


def test_a_single_rate_may_be_the_best() -> None:
    against = challenge(np.array([[0.98, 0.981, 0.979]]))
    assert against.p_value.tolist() == [1.0]
    assert np.isnan([*against.gap, *against.at_least]).all()
    assert against.at_most.tolist() == [0.0]
    beside = challenge(np.array([[0.98, 0.981], [np.nan, np.nan]]))
    np.testing.assert_array_equal(beside.p_value, [1.0, np.nan])
    np.testing.assert_array_equal(beside.at_most, [0.0, np.inf])
    assert np.isnan(challenge(np.array([[0.98]])).p_value).all()


def test_rates_without_any_value_do_not_count() -> None:
    values = np.array([[0.981, 0.983, 0.98], [0.98, 0.979, 0.981], [0.97, 0.972, 0.971]])
    blank = np.full((1, 3), np.nan)
    alone, among = (challenge(table) for table in (values, np.concatenate([blank, values, blank])))
    for name in ("p_value", "gap", "at_least"):
        np.testing.assert_array_equal(getattr(among, name), [np.nan, *getattr(alone, name), np.nan])
    np.testing.assert_array_equal(among.rival[1:-1], alone.rival + 1)


def test_without_any_value_nothing_is_chosen() -> None:
    choice = choose(np.full((2, 3), np.nan))
    assert choice.best is None
    assert not choice.mask.any()
    assert not choice.equivalent.any()
    assert choice.settled is False


def test_means_leave_out_what_is_missing() -> None:
    values = np.array([[1.0, 2.0, 6.0], [1.0, np.nan, 2.0], [np.nan] * 3])
    np.testing.assert_array_equal(statistics.mean(values), [3.0, 1.5, np.nan])


def test_where_each_beats_another_on_other_seeds_the_choice_is_the_least_beaten() -> None:
    nan = np.nan
    values = np.array(
        [
            [0.90, 0.90, 0.90, 0.91, 0.91, 0.91, nan, nan, nan],
            [0.91, 0.91, 0.91, nan, nan, nan, 0.90, 0.90, 0.90],
            [nan, nan, nan, 0.90, 0.90, 0.90, 0.913, 0.914, 0.915],
        ]
    )
    p_values = challenge(values).p_value
    assert (p_values <= 0.05).all()
    choice = choose(values)
    assert choice.best == p_values.argmax() == 1
    assert choice.mask.tolist() == [False, True, False]
    assert not choice.settled
    assert np.isfinite(choice.dependable).tolist() == [False, True, False]


@pytest.mark.parametrize(
    "source", [verdicts.CLOSE, verdicts.EQUAL, *verdicts.EXTREME], ids=lambda source: source.name
)
def test_who_adds_seeds_until_the_verdict_is_settled_is_misled_in_at_most_5_per_cent(source: Source) -> None:
    """`python -m benchmarks.verdicts` follows 2,000 studies of each kind."""
    said = verdicts.follow(source, 400, verdicts.planned)
    assert max(said["lost"], said["wrong"]) <= 0.05


def test_a_look_at_the_full_level_each_time_would_mislead_more_often() -> None:
    assert verdicts.follow(verdicts.EQUAL, 400, verdicts.each_look)["lost"] > 0.1


def test_rates_worse_by_a_point_are_found_worse_with_five_seeds() -> None:
    studies = simulate([0.984, 0.9835, *[0.974] * 7], 5)
    against = challenge(studies)
    masks = [choose(values).mask for values in studies[:50]]
    np.testing.assert_array_equal((against.p_value > 0.05)[:50] | (against.at_most < MARGIN)[:50], masks)
    assert (against.p_value <= 0.05)[:, 2:].mean() >= 0.9


THREE = np.array([[0.981, 0.983, 0.98, 0.985], [0.98, 0.979, 0.981, 0.978], [0.97, 0.972, 0.971, 0.969]])


def test_a_challenge_of_three_is_two_one_sided_paired_tests_corrected_for_two_and_for_the_looks() -> None:
    against = challenge(THREE, 0.0)
    last = [stats.ttest_rel(other, THREE[2], alternative="greater") for other in THREE[:2]]
    rival = int(np.argmin([test.pvalue for test in last]))
    level = 1 - 0.05 / 2 / LOOKS

    assert against.rival[2] == rival
    assert against.p_value[2] == pytest.approx(2 * LOOKS * last[rival].pvalue)
    assert against.gap[2] == pytest.approx((THREE[rival] - THREE[2]).mean())
    assert against.at_least[2] == pytest.approx(last[rival].confidence_interval(level).low)
    highest = [
        stats.ttest_rel(other, THREE[2], alternative="less").confidence_interval(level).high
        for other in THREE[:2]
    ]
    assert against.at_most[2] == pytest.approx(max(highest))
    assert (against.p_value[0], against.at_most[0] < 0.01) == (1, True)


def test_equal_values_prove_no_more_than_their_rounding_allows() -> None:
    values = np.array([[0.9802] * 3, [0.98] * 3])
    intervals = statistics.mean_intervals(values, STEP, 0.95)
    half = stats.t.ppf(0.975, 2) * STEP / np.sqrt(12 * 3)
    np.testing.assert_allclose([intervals.mean - intervals.low, intervals.high - intervals.mean], half)
    against, error = challenge(values), STEP / np.sqrt(6 * 3)
    assert against.p_value[1] == pytest.approx(LOOKS * stats.t.sf(STEP / error, 2))
    assert against.at_least[1] == pytest.approx(STEP - stats.t.isf(0.05 / LOOKS, 2) * error)
    assert against.at_most.tolist() == pytest.approx(
        [max(0, stats.t.isf(0.05 / LOOKS, 2) * error - STEP), stats.t.isf(0.05 / LOOKS, 2) * error + STEP]
    )


def test_a_difference_that_never_varies_is_certain_where_nothing_is_rounded() -> None:
    against = challenge(np.array([[0.75] * 3, [0.5] * 3]), 0.0)
    assert against.p_value.tolist() == [1, 0]
    assert against.at_most.tolist() == [0, 0.25]


@pytest.mark.parametrize(("margin", "seeds"), [(0.0008, 12), (0.0005, 20), (0.0001, 0)])
def test_the_seeds_to_tell_are_the_look_at_which_the_same_means_and_spreads_would(
    margin: float, seeds: int
) -> None:
    differences = np.array([0.001, -0.001, 0.0005, -0.0005, 0.0])  # mean 0, as good as each other
    values = np.stack([np.full(5, 0.98), 0.98 + differences])
    against = statistics.challenge(values, 0.0, 0.95, margin)
    spread = differences.std(ddof=1)
    bounds = {look: stats.t.isf(0.05 / LOOKS, look - 1) * spread / np.sqrt(look) for look in (8, 12, 20)}
    assert against.seeds.tolist() == [seeds] * 2
    assert next((look for look, bound in bounds.items() if bound < margin), 0) == seeds
    worse = statistics.challenge(values - [[0.0], [0.0007]], 0.0, 0.95, 1e-6)
    # Once the other is worse, the better one is within any margin.
    assert worse.seeds.tolist() == [next(look for look, bound in bounds.items() if bound < 0.0007)] * 2


def test_each_rate_has_seeds_to_tell_of_its_own() -> None:
    differences = np.array([0.001, -0.001, 0.0005, -0.0005, 0.0])
    values = np.stack([np.full(5, 0.98), 0.98 + differences, 0.977 + differences])
    assert statistics.challenge(values, 0.0, 0.95, 0.0001).seeds.tolist() == [0, 0, 8]


def test_a_rate_alone_in_one_of_several_studies_is_alone_there() -> None:
    pair, single = [[0.98, 0.981], [0.97, 0.972]], [[0.98, 0.981], [np.nan, np.nan]]
    both = challenge(np.array([pair, single]))
    for study, values in enumerate((pair, single)):
        np.testing.assert_array_equal(both.p_value[study], challenge(np.array(values)).p_value)


def test_corrected_p_values_do_not_exceed_1() -> None:
    alike = np.array([[0.98, 0.981, 0.979], [0.981, 0.979, 0.98], [0.979, 0.98, 0.981]])
    assert challenge(alike).p_value.tolist() == [1, 1, 1]


def test_one_seed_tells_nothing_and_the_highest_value_is_chosen() -> None:
    values = np.array([[0.5], [0.98], [0.9795]])
    assert np.isnan(statistics.mean_intervals(values, STEP, 0.95).low).all()
    against = challenge(values)
    assert np.isnan(against.p_value).all()
    assert np.isinf(against.at_most).all()
    choice = choose(values)
    assert (choice.best, choice.mask.all(), choice.settled) == (1, True, False)
    np.testing.assert_array_equal(choice.dependable, [np.nan, 0.98, 0.9795])
    assert choose(values[:1]).settled is False


def test_a_missing_run_costs_its_seed_in_that_rates_comparisons_alone() -> None:
    values = np.array([[0.98, 0.981, np.nan, 0.982], [0.97, 0.972, 0.971, 0.97]])
    full, part = challenge(values[:, [0, 1, 3]]), challenge(values)
    for one, other in zip(full, part, strict=True):
        np.testing.assert_allclose(one, other)
    third = np.array([0.98, 0.979, 0.981, 0.98])
    assert np.isfinite(challenge(np.vstack([values, third])).p_value).all()


def test_without_common_seeds_no_rate_is_known_to_be_as_good() -> None:
    against = challenge(np.array([[0.98, 0.98, np.nan, np.nan], [np.nan, np.nan, 0.9, 0.9]]))
    assert np.isinf(against.at_most).all()


def test_the_bound_for_a_new_run_is_the_prediction_interval_of_a_single_rate() -> None:
    values = THREE[:1]
    spread = values.std(ddof=1) * np.sqrt(1 + 1 / 4)
    bound = values.mean() - stats.t.ppf(0.8, 3) * spread
    assert statistics.prediction_bounds(values, 0.0) == pytest.approx([bound])


def test_spreads_are_averaged_with_their_geometric_mean_which_a_rate_of_one_run_has() -> None:
    values = np.array([[0.98, 0.982, 0.984], [0.97, 0.9705, 0.971], [0.98, np.nan, np.nan]])
    variances = np.array([0.002**2, 0.0005**2])
    common = np.sqrt(variances.prod())
    shrunk = [*(8 * common + 2 * variances) / 10, common]
    factors = stats.t.ppf(1 - 0.2 / 3, [10, 10, 8]) * np.sqrt([4 / 3, 4 / 3, 2])
    bounds = np.array([0.982, 0.9705, 0.98]) - factors * np.sqrt(shrunk)
    assert statistics.prediction_bounds(values, 0.0) == pytest.approx(bounds)


def test_equal_values_promise_no_more_of_a_new_run_than_their_rounding_allows() -> None:
    bound = 0.98 - stats.t.ppf(0.9, 10) * np.sqrt(STEP**2 / 12 * 4 / 3)
    assert statistics.prediction_bounds(np.full((2, 3), 0.98), STEP) == pytest.approx([bound] * 2, abs=1e-9)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("rates", [1, 2, 4])
def test_new_runs_at_the_chosen_rate_reach_the_bound_as_often_as_it_says(seeds: int, rates: int) -> None:
    studies = simulate([0.984] * rates, seeds + 1, [0.0008, 0.001, 0.001, 0.0014][-rates:])
    bounds = np.stack([statistics.prediction_bounds(values, STEP) for values in studies[..., :seeds]])
    chosen = bounds.argmax(axis=1)[:, None]
    new, bound = (np.take_along_axis(table, chosen, axis=1) for table in (studies[..., seeds], bounds))
    assert 0.77 < (new >= bound).mean() < 0.9


@pytest.mark.parametrize(("margin", "best"), [(0.0021, 1), (0.0019, 0)])
def test_spread_decides_between_means_within_half_the_margin_and_the_mean_elsewhere(
    margin: float, best: int
) -> None:
    values = np.array([[0.975, 0.987, 0.981], [0.9801, 0.98, 0.9799], [0.97, 0.9701, 0.9699]])
    choice = choose(values, margin=margin)
    assert choice.best == best
    assert np.isfinite(choice.dependable).tolist() == [True, best == 1, False]
    assert choice.mask[:2].all()
    assert not choice.settled


def test_a_rate_beaten_by_less_than_the_margin_is_equivalent_and_may_be_chosen() -> None:
    noise = np.array([0.0004, -0.0004, 0.0, 0.0002, -0.0002])
    values = np.stack([0.98 + noise, 0.9805 + noise])
    choice = choose(values)
    assert choice.challenge.p_value[0] < 0.05
    assert choice.equivalent.all()
    assert (choice.best, choice.settled) == (1, True)


def test_the_verdict_is_settled_where_all_others_are_worse() -> None:
    values = np.array([[0.98, 0.983, 0.977, 0.981, 0.979], [0.5, 0.6, 0.55, 0.52, 0.58]])
    choice = choose(values, margin=1e-6)
    assert choice.mask.tolist() == [True, False]
    assert choice.settled
    assert choose(np.array([[0.98, 0.9801], [0.1, 0.1001]]), margin=1e-6).settled


@given(
    st.integers(1, 6).flatmap(
        lambda rates: st.lists(
            st.lists(st.integers(4000, 5000), min_size=3, max_size=3), min_size=rates, max_size=rates
        )
    )
)
@settings(max_examples=60, deadline=None)
def test_the_choice_is_near_the_highest_mean_and_no_rate_so_near_promises_more(
    counts: list[list[int]],
) -> None:
    values = np.array(counts) / 5000
    choice, means = choose(values), values.mean(axis=1)
    assert choice.best is not None
    assert choice.mask[choice.best]
    assert means[choice.best] > means.max() - MARGIN / 2
    assert choice.dependable[choice.best] >= np.nanmax(choice.dependable) - 1e-9
    against = choice.challenge
    beaten = against.p_value <= 0.05
    np.testing.assert_array_equal(choice.mask, ~beaten | (against.at_most < MARGIN))
    if len(values) > 1:
        assert (against.at_least[beaten] >= -1e-12).all()
        assert (against.at_least[~beaten] <= 1e-12).all()
        assert (against.at_most >= against.gap - 1e-12).all()
