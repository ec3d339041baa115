"""From a table of runs to the choice, and the status and numbers of every rate."""

import math

import numpy as np
import pytest
from scipy import stats

from pipeline.report.analysis import statistics, verdict
from pipeline.report.analysis.status import (
    CHOSEN,
    DIVERGED,
    EQUIVALENT,
    NOT_DISTINGUISHABLE,
    UNKNOWN,
    WORSE,
)
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
    assert decision.comparable
    assert statuses(decision) == {
        0.0001: WORSE,
        0.001: CHOSEN,
        0.01: NOT_DISTINGUISHABLE,
        0.1: WORSE,
        0.3: DIVERGED,
    }
    assert (decision.settled, decision.look, decision.plateau) == (False, 1, (0.001,))
    assert decision.in_question == (0.001, 0.01)


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
    assert (rate.roughness, rate.rising_share, rate.diverged, rate.seeds_needed) == (0.2, 0.2, 0, 0)
    assert list(rate.labels.items()) == [("stuck", 1), ("oscillating", 2), ("too short to judge", 1)]
    gaps = np.array([0.08, 0.072, 0.064])
    error = math.sqrt((gaps.var(ddof=1) + (1 / 5000) ** 2 / 6) / 3)
    assert (rate.rival, rate.rival_gap) == (0.01, pytest.approx(0.072))
    assert rate.p_best == pytest.approx(5 * stats.t.sf(0.072 / error, 2))
    assert rate.rival_at_least == pytest.approx(0.072 - stats.t.ppf(0.99, 2) * error)
    assert rate.at_most == pytest.approx(0.072 + stats.t.ppf(0.99, 2) * error)
    assert (rate.status, decision.in_question) == (WORSE, (0.01,))
    assert decision.rate(0.01).dependable == statistics.prediction_bounds(
        np.array([[0.98, 0.982, 0.984]]), 1 / 5000
    )


def test_the_verdict_says_what_it_rests_on() -> None:
    decision = decide(STUDY, {rate: values[::-1] for rate, values in STUDY.items()})

    assert (decision.setting, decision.criterion, decision.confidence) == (SETTING, "best_epoch", 0.95)
    assert decision.seeds == (0, 1, 2)
    assert [rate.learning_rate for rate in decision.rates] == [0.0001, 0.001, 0.01, 0.1, 0.3]
    assert (decision.by_other_criterion, decision.improving) == (0.001, False)
    assert decision.grid == (0.0001, 0.001, 0.01, 0.1, 0.3)


@pytest.mark.parametrize(
    ("seeds", "look"),
    [(1, 1), (3, 1), (4, 2), (5, 2), (6, 3), (8, 3), (9, 4), (12, 4), (13, 5), (20, 5), (60, 5)],
)
def test_a_number_of_seeds_is_the_planned_look_that_it_reaches(seeds: int, look: int) -> None:
    assert decide({0.01: [0.98] * seeds}).look == look


STEADY = np.array([0.0004, -0.0004, 0.0, 0.0002, -0.0002])


def test_a_rate_within_the_margin_of_the_best_is_equivalent_and_neighbours_make_a_plateau() -> None:
    means = {0.3: 0.97, 0.1: 0.9803, 0.03: 0.98, 0.01: 0.9805, 0.003: 0.97, 0.001: 0.9801}
    decision = decide({rate: list(mean + STEADY) for rate, mean in means.items()})

    assert statuses(decision) == {
        0.001: EQUIVALENT,
        0.003: WORSE,
        0.01: CHOSEN,
        0.03: EQUIVALENT,
        0.1: EQUIVALENT,
        0.3: WORSE,
    }
    assert decision.plateau == (0.01, 0.03, 0.1)
    assert decision.settled
    assert decision.highest is decision.chosen
    assert {rate.seeds_needed for rate in decision.rates} == {0}
    strict = setting_with("report", margin=0.0001)
    assert statuses(decide({0.03: list(0.98 + STEADY), 0.01: list(0.9805 + STEADY)}, setting=strict)) == {
        0.01: CHOSEN,
        0.03: WORSE,
    }


def test_a_steady_rate_is_chosen_before_one_with_a_slightly_higher_mean() -> None:
    decision = decide({0.01: [0.9835, 0.9790, 0.9824], 0.001: [0.9812, 0.9814, 0.9811]})

    assert (decision.learning_rate, decision.highest.learning_rate) == (0.001, 0.01)
    assert decision.rate(0.01).dependable < decision.rate(0.001).dependable
    assert decision.rate(0.01).seeds_needed >= 5


@pytest.mark.parametrize(("improving", "said"), [(2, False), (3, True)])
def test_most_runs_still_improving_are_more_than_half(improving: int, said: bool) -> None:
    labels = ["still improving"] * improving + ["converged"] * (4 - improving)
    runs = table({0.01: [0.98] * 4, 0.1: [0.9] * 4}).assign(health=labels + ["still improving"] * 4)

    assert verdict.decide(runs, SETTING).improving is said


def test_of_a_single_feasible_rate_nothing_is_asked() -> None:
    only = decide({0.1: [NAN, 0.9], 0.01: [0.98, 0.981]}).rate(0.01)

    assert (only.status, only.p_best, only.rival, only.at_most) == (CHOSEN, 1.0, None, 0.0)


def test_no_rate_can_lie_further_below_the_best_than_accuracies_reach() -> None:
    best = {0.1: [0.1, 0.95, 0.1], 0.01: [0.98, 0.981, 0.982]}
    chosen = decide(best).rate(0.01)
    assert chosen.at_most == pytest.approx(1 - chosen.low)
    wide = decide(best, setting=setting_with("report", margin=0.1)).rate(0.01)
    assert (wide.status, wide.at_most) == (CHOSEN, 0.1)  # not below the margin: it is not known to be
    apart = {0.1: [NAN, NAN, 0.98, 0.981], 0.01: [0.97, 0.971, NAN, NAN]}
    allowing = setting_with("report", diverged_share=0.5)
    assert decide(apart, setting=allowing).rate(0.1).at_most == np.inf  # no seed in common: nothing is known


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
    assert statuses(decision) == {0.001: WORSE, 0.01: CHOSEN, 0.1: EQUIVALENT}


def test_test_data_choose_nothing() -> None:
    runs = table(STUDY)
    changed = runs.assign(test_accuracy=np.linspace(0.1, 0.9, len(runs)))
    before, after = (verdict.decide(rows, SETTING) for rows in (runs, changed))
    assert statuses(before) == statuses(after)


def test_ties_go_to_the_smaller_rate() -> None:
    assert decide({0.1: [0.98, 0.98], 0.01: [0.98, 0.98]}).learning_rate == 0.01


def test_the_same_values_in_another_order_are_a_tie() -> None:
    decision = decide({0.1: [0.9815, 0.9822, 0.9793], 0.01: [0.9815, 0.9793, 0.9822]})
    assert decision.rate(0.1).mean != decision.rate(0.01).mean  # by the last bit
    assert decision.highest is decision.chosen


def test_without_a_feasible_rate_nothing_is_chosen() -> None:
    decision = decide({0.1: [NAN, NAN], 0.3: [NAN, 0.5]})

    assert (decision.learning_rate, decision.chosen, decision.comparable) == (None, None, False)
    assert decision.plateau == ()
    assert statuses(decision) == {0.1: DIVERGED, 0.3: DIVERGED}


def test_with_one_seed_no_rate_is_distinguishable() -> None:
    decision = decide({0.1: [0.95], 0.01: [0.98]})

    assert (decision.learning_rate, decision.comparable, decision.settled) == (0.01, False, False)
    assert not decision.improving
    assert statuses(decision) == {0.01: CHOSEN, 0.1: UNKNOWN}
    two = decide({0.1: [0.95, 0.97], 0.01: [0.98, 0.96]})
    assert statuses(two) == {0.01: CHOSEN, 0.1: NOT_DISTINGUISHABLE}


def test_the_other_criterion_may_choose_another_rate() -> None:
    final = STUDY | {0.001: [0.97, 0.971, 0.972]}

    assert (decide(STUDY, final).learning_rate, decide(STUDY, final).by_other_criterion) == (0.001, 0.01)
    last = decide(STUDY, final, setting_with("train", keep="last_epoch"))
    assert (last.learning_rate, last.by_other_criterion) == (0.01, 0.001)
