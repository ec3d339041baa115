"""From a table of runs to the choice, and the status and numbers of every rate."""

import math

import numpy as np
import pytest
from scipy import stats

from pipeline.report.analysis import statistics, verdict
from pipeline.report.analysis.status import CHOSEN, DIVERGED, NOT_DISTINGUISHABLE, SCATTERED, UNKNOWN, WORSE
from pipeline.report.analysis.verdict import Pair
from tests.report.samples import (
    ALLOWING,
    LUCKY,
    NAN,
    SETTING,
    STUDY,
    decide,
    setting_with,
    statuses,
    table,
)


def test_the_best_rate_is_chosen_and_every_other_has_its_status() -> None:
    decision = decide(STUDY)
    assert decision.learning_rate == 0.001
    assert decision.indistinguishable == (0.01,)
    assert statuses(decision) == {
        0.0001: WORSE,
        0.001: CHOSEN,
        0.01: NOT_DISTINGUISHABLE,
        0.1: WORSE,
        0.3: DIVERGED,
    }
    assert sum(rate.probability_best for rate in decision.rates if rate.status != DIVERGED) == pytest.approx(
        1
    )


def test_a_rate_carries_the_numbers_of_its_runs_each_from_its_own_column() -> None:
    runs = table(
        {0.1: [0.9, 0.91, 0.92], 0.01: [0.98, 0.982, 0.984]}, {0.1: [0.8, 0.85, 0.9], 0.01: [0.95] * 3}
    )
    runs = runs.assign(
        roughness=[0.1, 0.2, 0.6, 0.0, 0.0, 0.3],
        rising_share=[0.3, 0.1, 0.2, 0.5, 0.4, 0.0],
        test_accuracy=[0.7, 0.8, 0.9, 0.97, 0.975, NAN],
        health=["stuck; oscillating", "oscillating", "too short to judge", *["converged"] * 3],
    )
    decision = verdict.decide(runs, SETTING)
    rate = decision.rate(0.1)

    half = stats.t.ppf(0.975, 2) * math.sqrt((np.var([0.9, 0.91, 0.92], ddof=1) + (1 / 5000) ** 2 / 12) / 3)
    assert rate.values == (0.9, 0.91, 0.92)
    assert (rate.mean, rate.low, rate.high) == pytest.approx((0.91, 0.91 - half, 0.91 + half))
    assert (rate.other_mean, rate.test_mean, decision.rate(0.01).test_mean) == pytest.approx(
        (0.85, 0.8, 0.9725)
    )
    assert (rate.roughness, rate.rising_share, rate.diverged, rate.probability_best) == (0.2, 0.2, 0, 0)
    assert list(rate.labels.items()) == [("stuck", 1), ("oscillating", 2), ("too short to judge", 1)]
    gaps = np.array([0.08, 0.072, 0.064])
    error = math.sqrt((gaps.var(ddof=1) + (1 / 5000) ** 2 / 6) / 3)
    assert (rate.rival, rate.rival_gap) == (0.01, pytest.approx(0.072))
    assert rate.p_best == pytest.approx(stats.t.sf(0.072 / error, 2))
    assert rate.rival_at_least == pytest.approx(0.072 - stats.t.ppf(0.95, 2) * error)


def test_the_verdict_says_what_it_rests_on() -> None:
    decision = decide(STUDY, {rate: values[::-1] for rate, values in STUDY.items()})

    assert (decision.setting, decision.criterion, decision.confidence) == (SETTING, "best_epoch", 0.95)
    assert decision.seeds == (0, 1, 2)
    assert [rate.learning_rate for rate in decision.rates] == [0.0001, 0.001, 0.01, 0.1, 0.3]
    assert (decision.by_other_criterion, decision.improving) == (0.001, False)
    assert decide({0.1: [0.95], 0.01: [0.98]}).pairs == ()
    assert decide({0.1: [NAN, NAN]}).pairs == ()


def test_feasible_rates_are_compared_in_pairs_from_the_best_down() -> None:
    pairs = decide(STUDY).pairs
    order = [0.001, 0.01, 0.0001, 0.1]
    expected = statistics.compare_pairs(np.array([STUDY[rate] for rate in order]), 1 / 5000, 0.95)

    assert pairs == tuple(
        Pair(order[first], order[second], *numbers) for first, second, *numbers in zip(*expected, strict=True)
    )
    assert all(pair.difference > 0 for pair in pairs)


@pytest.mark.parametrize(("improving", "said"), [(2, False), (3, True)])
def test_most_runs_still_improving_are_more_than_half(improving: int, said: bool) -> None:
    labels = ["still improving"] * improving + ["converged"] * (4 - improving)
    runs = table({0.01: [0.98] * 4, 0.1: [0.9] * 4}).assign(health=labels + ["still improving"] * 4)

    assert verdict.decide(runs, SETTING).improving is said


def test_of_a_single_feasible_rate_nothing_is_asked() -> None:
    only = decide({0.1: [NAN, 0.9], 0.01: [0.98, 0.981]}).rate(0.01)

    assert (only.status, only.p_best, only.rival, only.probability_best) == (CHOSEN, 1.0, None, 1.0)


def test_a_worse_rate_carries_its_rival_and_how_much_at_least() -> None:
    worse = decide(STUDY).rate(0.0001)
    assert worse.rival in (0.001, 0.01)
    assert 0 < worse.rival_at_least < worse.rival_gap
    assert worse.p_best < 0.05


def test_a_rate_with_diverged_runs_is_out_though_its_others_are_best() -> None:
    decision = decide({0.1: [0.99, 0.99, NAN], 0.01: [0.98, 0.981, 0.979]})
    assert decision.learning_rate == 0.01
    assert decision.rate(0.1).diverged == 1


def test_a_share_of_diverged_runs_can_be_allowed() -> None:
    allowing = setting_with("report", diverged_share=0.34)
    decision = decide({0.1: [0.99, 0.991, NAN], 0.01: [0.98, 0.981, 0.979]}, setting=allowing)
    assert decision.learning_rate == 0.1


def test_a_rate_that_owes_its_mean_to_a_missing_hard_seed_is_not_chosen() -> None:
    decision = decide(LUCKY, setting=ALLOWING)

    assert decision.rate(0.1).mean > decision.rate(0.01).mean
    assert decision.learning_rate == decision.by_other_criterion == 0.01
    assert statuses(decision) == {0.001: WORSE, 0.01: CHOSEN, 0.1: WORSE}
    assert decision.gap(decision.rate(0.1)) == pytest.approx(0.001075)


def test_the_first_of_a_pair_is_higher_on_the_common_seeds_whatever_the_means() -> None:
    pairs = {(pair.first, pair.second): pair for pair in decide(LUCKY, setting=ALLOWING).pairs}

    assert set(pairs) == {(0.01, 0.1), (0.01, 0.001), (0.1, 0.001)}
    turned = statistics.compare_pairs(np.array([LUCKY[0.01], LUCKY[0.1], LUCKY[0.001]]), 1 / 5000, 0.95)
    assert pairs[0.01, 0.1][2:] == pytest.approx([numbers[0] for numbers in turned[2:]])
    assert all(0 < pair.difference < pair.high and pair.low < pair.difference for pair in pairs.values())


def test_test_data_choose_nothing() -> None:
    runs = table(STUDY)
    changed = runs.assign(test_accuracy=np.linspace(0.1, 0.9, len(runs)))
    before, after = (verdict.decide(rows, SETTING) for rows in (runs, changed))
    assert statuses(before) == statuses(after)


def test_ties_go_to_the_smaller_rate() -> None:
    assert decide({0.1: [0.98, 0.98], 0.01: [0.98, 0.98]}).learning_rate == 0.01


def test_without_a_feasible_rate_nothing_is_chosen() -> None:
    decision = decide({0.1: [NAN, NAN], 0.3: [NAN, 0.5]})

    assert (decision.learning_rate, decision.chosen, decision.indistinguishable) == (None, None, None)
    assert statuses(decision) == {0.1: DIVERGED, 0.3: DIVERGED}
    assert math.isnan(decision.gap(decision.rates[0]))


def test_with_one_seed_no_rate_is_distinguishable() -> None:
    decision = decide({0.1: [0.95], 0.01: [0.98]})

    assert (decision.learning_rate, decision.indistinguishable) == (0.01, None)
    assert statuses(decision) == {0.01: CHOSEN, 0.1: UNKNOWN}


def test_the_other_criterion_may_choose_another_rate() -> None:
    final = STUDY | {0.001: [0.97, 0.971, 0.972]}

    assert (decide(STUDY, final).learning_rate, decide(STUDY, final).by_other_criterion) == (0.001, 0.01)
    last = decide(STUDY, final, setting_with("train", keep="last_epoch"))
    assert (last.learning_rate, last.by_other_criterion) == (0.01, 0.001)


@pytest.mark.parametrize(("lowest", "shown"), [(0.961, NOT_DISTINGUISHABLE), (0.9608, SCATTERED)])
def test_a_rate_more_than_a_point_lower_is_too_scattered_to_tell(lowest: float, shown: str) -> None:
    best = {0.003: [0.983, 0.984, 0.982, 0.983, 0.983]}
    decision = decide(best | {0.1: [0.991, 0.961, 0.991, 0.961, lowest]})

    assert decision.indistinguishable == (0.1,)
    assert decision.shown(decision.rate(0.1)) == shown
    assert [rate.learning_rate for rate in decision.shown_as(shown)] == [0.1]
    assert decision.near == ((0.1,) if shown == NOT_DISTINGUISHABLE else ())
