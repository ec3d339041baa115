"""From tables of runs to choice, reasons, grid advice and speed."""

import math

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from pipeline import comparison, grid, params, reasons, speed, verdict, wording
from pipeline.params.report import ReportParams
from pipeline.standing import ALIKE, CHOSEN, INFEASIBLE, SCATTERED, UNKNOWN, WORSE
from pipeline.verdict import Setting, Verdict
from tests.conftest import ROOT

PARAMS = params.load(ROOT / "params.yaml").report
SETTING = Setting("mnist", 20, "validation", 5000)
NAN = math.nan


def table(best: dict[float, list[float]], final: dict[float, list[float]] | None = None) -> pd.DataFrame:
    """A comparison with these criteria, one row a run."""
    rows = [
        {
            "learning_rate": rate,
            "seed": seed,
            "best_val_accuracy": value,
            "final_val_accuracy": (final or best)[rate][seed],
            "test_accuracy": value - 0.001,
            "roughness": 0.1,
            "rising_share": 0.2,
            "health": "diverged" if math.isnan(value) else "converged",
        }
        for rate, values in best.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def decide(
    best: dict[float, list[float]],
    final: dict[float, list[float]] | None = None,
    settings: ReportParams = PARAMS,
    setting: Setting = SETTING,
) -> Verdict:
    return verdict.decide(table(best, final), settings, setting)


STUDY = {
    0.3: [NAN, 0.9, NAN],
    0.1: [0.955, 0.96, 0.951],
    0.01: [0.9838, 0.9846, 0.9836],
    0.001: [0.984, 0.9842, 0.9844],
    0.0001: [0.970, 0.9712, 0.9708],
}


def standings(found: Verdict) -> dict[float, str]:
    return {rate.learning_rate: rate.standing for rate in found.rates}


def test_the_best_rate_is_chosen_and_every_other_has_its_standing() -> None:
    found = decide(STUDY)
    assert found.learning_rate == 0.001
    assert found.indistinguishable == (0.01,)
    assert standings(found) == {0.0001: WORSE, 0.001: CHOSEN, 0.01: ALIKE, 0.1: WORSE, 0.3: INFEASIBLE}
    assert sum(rate.probability_best for rate in found.rates if rate.standing != INFEASIBLE) == pytest.approx(
        1
    )


def test_a_worse_rate_carries_its_rival_and_how_much_at_least() -> None:
    worse = decide(STUDY).rate(0.0001)
    assert worse.rival in (0.001, 0.01)
    assert 0 < worse.rival_at_least < worse.rival_gap
    assert worse.p_best < 0.05


def test_a_rate_with_diverged_runs_is_out_though_its_others_are_best() -> None:
    found = decide({0.1: [0.99, 0.99, NAN], 0.01: [0.98, 0.981, 0.979]})
    assert found.learning_rate == 0.01
    assert found.rate(0.1).diverged == 1


def test_a_share_of_diverged_runs_can_be_allowed() -> None:
    allowing = PARAMS.model_copy(update={"diverged_share": 0.34})
    found = decide({0.1: [0.99, 0.991, NAN], 0.01: [0.98, 0.981, 0.979]}, settings=allowing)
    assert found.learning_rate == 0.1


def test_nothing_is_chosen_where_every_rate_diverged() -> None:
    found = decide({0.1: [NAN, NAN], 0.3: [NAN, 0.5]})
    words = reasons.explain(found, {})
    assert found.learning_rate is None
    assert found.indistinguishable is None
    assert words.headline == "No learning rate can be recommended."
    assert words.reasons == (
        "0.1 is infeasible: 2 of 2 runs diverged.",
        "0.3 is infeasible: 1 of 2 runs diverged.",
    )


def test_one_seed_gives_no_interval_and_says_which_line_to_change() -> None:
    found = decide({0.1: [0.95], 0.01: [0.98]})
    words = reasons.explain(found, {})
    assert found.learning_rate == 0.01
    assert found.indistinguishable is None
    assert standings(found) == {0.01: CHOSEN, 0.1: UNKNOWN}
    assert words.headline == "Learning rate 0.01 leads, but with one seed no interval can be given."
    assert any("train.seeds in params.yaml: seeds: [0, 1, 2]" in warning for warning in words.warnings)


def test_a_choice_made_on_test_data_says_so() -> None:
    words = reasons.explain(decide(STUDY, setting=SETTING._replace(chosen_on="test")), {})
    assert words.warnings[0].startswith("This choice was made on test data: with validation_size 0 ")
    assert "best test accuracy" in words.detail


def test_a_sample_is_not_taken_for_mnist() -> None:
    words = reasons.explain(decide(STUDY, setting=SETTING._replace(dataset="digits")), {})
    assert words.warnings == (
        "The data set is digits, the small sample that scikit-learn ships: this says nothing about MNIST.",
    )


def test_the_verdict_in_words() -> None:
    words = reasons.explain(decide(STUDY), {})
    assert words.headline == "Use learning rate 0.001."
    assert words.detail == (
        "It reaches 98.42 % best validation accuracy, mean of 3 seeds (95 % interval 98.37 to 98.47 %). "
        "0.01 cannot be told from it; 0.0001 and 0.1 are worse; 0.3 diverged."
    )
    assert words.warnings == ()
    assert words.reasons[1].startswith("0.01 cannot be told from it: 0.02 points lower in the mean, but")
    assert any(reason.startswith("0.0001 is worse by 1.35 points (at least ") for reason in words.reasons)
    assert "Judged by the last epoch instead, the choice would be the same." in words.reasons


NEAR = [0.982, 0.983, 0.981, 0.984, 0.982]
WILD = [0.59, 0.98, 0.63, 0.98, 0.98]
CANNOT = "cannot be told from it"


@pytest.mark.parametrize(
    ("others", "clauses", "near"),
    [
        ({0.01: NEAR}, f"0.01 {CANNOT}.", (0.01,)),
        ({0.01: NEAR, 0.03: NEAR}, f"0.01 and 0.03 {CANNOT}.", (0.01, 0.03)),
        (
            {0.3: WILD},
            "0.3 lies 15.10 points lower, but its seeds scatter too much to call it worse.",
            (),
        ),
        (
            {0.01: NEAR, 0.1: [0.9] * 5, 0.3: WILD, 1.0: [NAN] * 5},
            f"0.01 {CANNOT}; 0.1 is worse; 0.3 lies 15.10 points lower, but its seeds scatter too much to "
            "call it worse; 1.0 diverged.",
            (0.01,),
        ),
        (
            {0.1: [0.85, 0.98, 0.86, 0.98, 0.87], 0.3: WILD},
            "0.1 and 0.3 lie 7.50 and 15.10 points lower, but their seeds scatter too much to call them "
            "worse.",
            (),
        ),
        ({0.1: [0.991, 0.961, 0.991, 0.961, 0.961]}, f"0.1 {CANNOT}.", (0.1,)),  # a point lower, no more
        (
            {0.1: [0.991, 0.961, 0.991, 0.961, 0.9608]},
            "0.1 lies 1.00 points lower, but its seeds scatter too much to call it worse.",
            (),
        ),
    ],
)
def test_a_rate_far_below_is_not_said_to_be_as_good_whatever_its_scatter(
    others: dict[float, list[float]], clauses: str, near: tuple[float, ...]
) -> None:
    found = decide({0.003: [0.983, 0.984, 0.982, 0.983, 0.983], **others})
    words = reasons.explain(found, {})
    assert found.learning_rate == 0.003
    assert words.detail.partition("%). ")[2] == clauses
    assert found.near == near
    for rate in found.rates:
        told = found.shown(rate)
        assert (told == SCATTERED) == (rate.standing == ALIKE and rate.learning_rate not in near)
        if told == SCATTERED:
            assert any(
                reason.startswith(f"{wording.rate(rate.learning_rate)} lies ")
                and "call it worse (p = " in reason
                for reason in words.reasons
            )


def test_equal_means_are_called_the_same() -> None:
    words = reasons.explain(decide({0.1: [0.98, 0.981], 0.01: [0.98, 0.981]}), {})
    assert words.reasons[1].startswith("0.1 cannot be told from it: the same mean (p = ")


def test_another_choice_by_the_other_criterion_is_told() -> None:
    final = STUDY | {0.001: [0.97, 0.971, 0.972]}
    words = reasons.explain(decide(STUDY, final), {})
    assert "Judged by the last epoch instead, the choice would be 0.01." in words.reasons
    last = decide(STUDY, final, PARAMS.model_copy(update={"criterion": "last_epoch"}))
    assert last.learning_rate == 0.01


def test_test_data_choose_nothing() -> None:
    runs = table(STUDY)
    changed = runs.assign(test_accuracy=np.linspace(0.1, 0.9, len(runs)))
    before, after = (verdict.decide(one, PARAMS, SETTING) for one in (runs, changed))
    assert standings(before) == standings(after)


def test_ties_go_to_the_smaller_rate() -> None:
    assert decide({0.1: [0.98, 0.98], 0.01: [0.98, 0.98]}).learning_rate == 0.01


def test_mcnemar_compares_the_chosen_rate_with_each_feasible_other() -> None:
    noise = np.random.default_rng(0)
    right = {rate: noise.random((3, 500)) < 0.95 for rate in STUDY}
    right[0.0001] = noise.random((3, 500)) < 0.7
    tested = verdict.check_on_test(decide(STUDY), right)
    assert set(tested) == {0.0001, 0.01, 0.1}
    assert tested[0.0001].p_value < 0.001 < tested[0.01].p_value


def test_verdict_json_nests_numbers_by_rate_and_holds_no_nan() -> None:
    found = verdict.as_metrics(decide(STUDY), {"headline": "Use it."}, {})
    assert found["rates"]["lr-0.001"]["validation_accuracy"]["mean"] == 0.9842
    assert found["rates"]["lr-0.3"]["validation_accuracy"]["mean"] == 0.9
    assert found["rates"]["lr-0.3"]["p_best"] is None
    assert found["learning_rate"] == 0.001
    assert found["indistinguishable"] == [0.01]


def test_a_matrix_has_rates_rising_and_a_column_a_seed() -> None:
    rates, values = comparison.matrix(table({0.1: [1.0, 2.0], 0.01: [3.0, NAN]}), "best_val_accuracy")
    assert rates == (0.01, 0.1)
    np.testing.assert_array_equal(values, [[3.0, NAN], [1.0, 2.0]])


def advise(
    rates: list[float],
    chosen: float | None,
    others: tuple[float, ...] | None = (),
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4),
    *,
    improving: bool = False,
) -> grid.Advice:
    return grid.advise(rates, seeds, 20, chosen, others, improving=improving, coarse_ratio=3.5)


HALF_DECADES = [0.1, 0.03, 0.01, 0.003, 0.001]


def test_an_inner_best_rate_with_near_neighbours_leaves_nothing_open() -> None:
    assert advise(HALF_DECADES, 0.01) == ((), "")


@pytest.mark.parametrize(
    ("chosen", "finding", "line"),
    [
        (0.1, "the highest of the grid: a better one may lie above", "[0.3, 0.1, 0.03, 0.01, 0.003, 0.001]"),
        (
            0.001,
            "the lowest of the grid: a better one may lie below",
            "[0.1, 0.03, 0.01, 0.003, 0.001, 0.0003]",
        ),
    ],
)
def test_a_best_rate_at_the_edge_asks_for_more_beyond_it(chosen: float, finding: str, line: str) -> None:
    found = advise(HALF_DECADES, chosen)
    assert finding in found.findings[0]
    assert found.lines == f"train:\n  learning_rates: {line}\n"


def test_a_rate_at_the_edge_that_is_not_told_from_the_best_counts_as_well() -> None:
    assert "may go on above it" in advise(HALF_DECADES, 0.03, (0.1,)).findings[0]
    assert advise(HALF_DECADES, 0.03, (0.1,), seeds=(0, 1)).findings[0].startswith("1 rate cannot be told")


def test_far_neighbours_that_are_worse_ask_for_rates_between() -> None:
    found = advise([0.1, 0.01, 0.001, 0.0001], 0.001, ())
    assert found.findings == (
        "From 0.001 to 0.0001 and 0.01 the rate changes by a factor of 10 and 10: the best may lie between.",
    )
    assert found.lines == "train:\n  learning_rates: [0.1, 0.01, 0.003, 0.001, 0.0003, 0.0001]\n"


def test_a_flat_top_asks_for_seeds_and_not_for_a_finer_grid() -> None:
    found = advise([0.1, 0.01, 0.001, 0.0001], 0.001, (0.01,), seeds=(0, 1, 7))
    assert "seeds: [0, 1, 7, 2, 3]" in found.lines
    assert "0.003," not in found.lines


def test_runs_that_were_still_improving_ask_for_more_epochs() -> None:
    assert "  epochs: 40\n" in advise(HALF_DECADES, 0.01, improving=True).lines


def test_one_seed_asks_for_more_and_one_rate_for_neighbours() -> None:
    found = advise([0.01], 0.01, None, seeds=(3,))
    assert found.lines == "train:\n  learning_rates: [0.1, 0.01, 0.001]\n  seeds: [3, 0, 1]\n"


def test_a_grid_of_infeasible_rates_is_told_to_go_down() -> None:
    assert advise([1.0, 0.3], None, None).lines == "train:\n  learning_rates: [1.0, 0.3, 0.03, 0.003]\n"


@pytest.mark.parametrize("chosen", [0.1, 0.01, 0.0001, None])
def test_the_lines_can_be_pasted(chosen: float | None) -> None:
    found = advise([0.1, 0.01, 0.0001], chosen, (), seeds=(0,), improving=True)
    rates = YAML(typ="safe").load(found.lines)["train"]["learning_rates"]
    assert {0.1, 0.01, 0.0001} < set(rates)
    assert all(isinstance(rate, float) for rate in rates)
    assert len(set(rates)) == len(rates)


def test_epochs_to_an_accuracy() -> None:
    assert speed.epochs_to(np.array([0.9, 0.95, 0.94, 0.96]), 0.95) == 2
    assert math.isnan(speed.epochs_to(np.array([0.9, NAN]), 0.95))


def test_reach_counts_runs_that_never_got_there_as_later_than_any() -> None:
    assert speed.reach(np.array([3.0, NAN, 5.0])) == (2, 3, 5.0, 3.0, math.inf)
    assert speed.reach(np.array([3.0, NAN])).median == math.inf
    assert speed.reach(np.array([2.0, 4.0])).median == 3


def test_the_winner_depends_on_the_budget_and_budgets_beyond_the_histories_are_left_out() -> None:
    fast = [np.array([0.9, 0.95, 0.951, 0.952]) + shift for shift in (0, 0.0002, 0.0004)]
    slow = [np.array([0.5, 0.9, 0.96, 0.98]) + shift for shift in (0, 0.0002, 0.0006)]
    found = speed.winners([slow, fast], (1, 2, 4, 5), best_epoch=True, resolution=0.0002, confidence=0.95)
    assert [(winner.budget, winner.rate, winner.others) for winner in found] == [
        (1, 1, ()),
        (2, 1, ()),
        (4, 0, ()),
    ]


def test_a_rate_that_had_diverged_by_then_does_not_win() -> None:
    diverging = [np.array([0.99, NAN]), np.array([0.99, 0.99, 0.99])]
    steady = [np.array([0.9, 0.9, 0.9])] * 2
    found = speed.winners([diverging, steady], (1, 3), best_epoch=True, resolution=0.001, confidence=0.95)
    assert [winner.rate for winner in found] == [0, 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (wording.rate(3e-05), "0.00003"),
        (wording.rate(1.0), "1.0"),
        (wording.percent(0.98421), "98.42 %"),
        (wording.percent(NAN), "–"),
        (wording.points(-0.0039), "−0.39"),
        (wording.points(0.00001), "0.00"),
        (wording.p_value(0.0004), "< 0.001"),
        (wording.listed(["a", "b", "c"]), "a, b and c"),
        (wording.listed([]), ""),
        (wording.counted(1, "seed"), "1 seed"),
    ],
)
def test_numbers_and_lists_in_words(text: str, expected: str) -> None:
    assert text == expected
