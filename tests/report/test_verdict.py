"""From tables of runs to choice, reasons, grid advice and speed."""

import math

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from scipy import stats

from pipeline import params
from pipeline.core.runs import CURVES, Run
from pipeline.params import ReportParams
from pipeline.report.analysis import comparison, grid, speed, statistics, verdict
from pipeline.report.analysis.mcnemar import Discordance
from pipeline.report.analysis.status import CHOSEN, DIVERGED, NOT_DISTINGUISHABLE, SCATTERED, UNKNOWN, WORSE
from pipeline.report.analysis.verdict import Pair, Setting, Verdict
from pipeline.report.text import explanations, metrics, presentation, reasons, wording
from tests.conftest import ROOT
from tests.report_fixtures import history

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


def statuses(found: Verdict) -> dict[float, str]:
    return {rate.learning_rate: rate.status for rate in found.rates}


def test_the_best_rate_is_chosen_and_every_other_has_its_standing() -> None:
    found = decide(STUDY)
    assert found.learning_rate == 0.001
    assert found.indistinguishable == (0.01,)
    assert statuses(found) == {
        0.0001: WORSE,
        0.001: CHOSEN,
        0.01: NOT_DISTINGUISHABLE,
        0.1: WORSE,
        0.3: DIVERGED,
    }
    assert sum(rate.probability_best for rate in found.rates if rate.status != DIVERGED) == pytest.approx(1)


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
    found = verdict.decide(runs, PARAMS, SETTING)
    rate = found.rate(0.1)

    half = stats.t.ppf(0.975, 2) * math.sqrt((np.var([0.9, 0.91, 0.92], ddof=1) + (1 / 5000) ** 2 / 12) / 3)
    assert rate.values == (0.9, 0.91, 0.92)
    assert (rate.mean, rate.low, rate.high) == pytest.approx((0.91, 0.91 - half, 0.91 + half))
    assert (rate.other_mean, rate.test_mean, found.rate(0.01).test_mean) == pytest.approx((0.85, 0.8, 0.9725))
    assert (rate.roughness, rate.rising_share, rate.diverged, rate.probability_best) == (0.2, 0.2, 0, 0)
    assert list(rate.labels.items()) == [("stuck", 1), ("oscillating", 2), ("too short to judge", 1)]
    gaps = np.array([0.08, 0.072, 0.064])
    error = math.sqrt((gaps.var(ddof=1) + (1 / 5000) ** 2 / 6) / 3)
    assert (rate.rival, rate.rival_gap) == (0.01, pytest.approx(0.072))
    assert rate.p_best == pytest.approx(stats.t.sf(0.072 / error, 2))
    assert rate.rival_at_least == pytest.approx(0.072 - stats.t.ppf(0.95, 2) * error)


def test_the_verdict_says_what_it_rests_on() -> None:
    found = decide(STUDY, {rate: values[::-1] for rate, values in STUDY.items()})

    assert (found.setting, found.criterion, found.confidence) == (SETTING, "best_epoch", 0.95)
    assert found.seeds == (0, 1, 2)
    assert [rate.learning_rate for rate in found.rates] == [0.0001, 0.001, 0.01, 0.1, 0.3]
    assert (found.by_other_criterion, found.improving) == (0.001, False)
    assert decide({0.1: [0.95], 0.01: [0.98]}).pairs == ()
    assert decide({0.1: [NAN, NAN]}).pairs == ()


def test_feasible_rates_are_compared_in_pairs_from_the_best_down() -> None:
    found = decide(STUDY).pairs
    order = [0.001, 0.01, 0.0001, 0.1]
    expected = statistics.compare_pairs(np.array([STUDY[rate] for rate in order]), 1 / 5000, 0.95)

    assert found == tuple(
        Pair(order[first], order[second], *numbers) for first, second, *numbers in zip(*expected, strict=True)
    )
    assert all(pair.difference > 0 for pair in found)


@pytest.mark.parametrize(("improving", "said"), [(2, False), (3, True)])
def test_most_runs_still_improving_are_more_than_half(improving: int, said: bool) -> None:
    labels = ["still improving"] * improving + ["converged"] * (4 - improving)
    runs = table({0.01: [0.98] * 4, 0.1: [0.9] * 4}).assign(health=labels + ["still improving"] * 4)

    assert verdict.decide(runs, PARAMS, SETTING).improving is said


def test_of_a_single_feasible_rate_nothing_is_asked() -> None:
    only = decide({0.1: [NAN, 0.9], 0.01: [0.98, 0.981]}).rate(0.01)

    assert (only.status, only.p_best, only.rival, only.probability_best) == (CHOSEN, 1.0, None, 1.0)


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


ALLOWING = PARAMS.model_copy(update={"diverged_share": 0.5})
LUCKY = {
    0.1: [NAN, 0.9884, 0.9885, 0.9886, 0.9885],  # its hard seed is missing: the highest mean, yet beaten
    0.01: [0.9600, 0.9896, 0.9895, 0.9896, 0.9896],
    0.001: [0.9500, 0.9796, 0.9795, 0.9796, 0.9796],
}


def test_a_rate_that_owes_its_mean_to_a_missing_hard_seed_is_not_chosen() -> None:
    found = decide(LUCKY, settings=ALLOWING)
    words = reasons.explain(found, {})

    assert found.rate(0.1).mean > found.rate(0.01).mean
    assert found.learning_rate == found.by_other_criterion == 0.01
    assert statuses(found) == {0.001: WORSE, 0.01: CHOSEN, 0.1: WORSE}
    assert found.gap(found.rate(0.1)) == pytest.approx(0.001075)
    assert words.reasons[0].startswith("0.01 has the highest mean of the rates that none is known to beat on")
    assert any(reason.startswith("0.1 is worse by 0.11 points (at least ") for reason in words.reasons)


def test_the_first_of_a_pair_is_higher_on_the_common_seeds_whatever_the_means() -> None:
    found = {(pair.first, pair.second): pair for pair in decide(LUCKY, settings=ALLOWING).pairs}

    assert set(found) == {(0.01, 0.1), (0.01, 0.001), (0.1, 0.001)}
    turned = statistics.compare_pairs(np.array([LUCKY[0.01], LUCKY[0.1], LUCKY[0.001]]), 1 / 5000, 0.95)
    assert found[0.01, 0.1][2:] == pytest.approx([numbers[0] for numbers in turned[2:]])
    assert all(0 < pair.difference < pair.high and pair.low < pair.difference for pair in found.values())


@pytest.mark.parametrize(
    ("studied", "chosen", "said"),
    [
        (
            {0.1: [NAN, 0.981, 0.983], 0.01: [0.97, 0.982, 0.9826]},
            0.1,
            "0.01 cannot be told from it: 0.03 points higher on the seeds that both have, which may be",
        ),
        (
            {0.1: [NAN, NAN, 0.99, 0.99], 0.01: [0.98, 0.98, NAN, NAN]},
            0.1,
            "0.01 cannot be told from it: too few seeds have a run of both.",
        ),
        (
            {0.1: [NAN, NAN, NAN, 0.99], 0.01: [0.97, 0.971, 0.97, 0.992], 0.001: [0.9, 0.9, 0.9, 0.92]},
            0.01,
            "0.1 cannot be told from it: too few seeds have a run of both.",
        ),
        (  # on the seeds of both, 0.1 is above the choice; it is beaten by 0.001
            {
                0.1: [0.960, 0.990, 0.991, NAN, NAN, NAN],
                0.01: [NAN, NAN, NAN, 0.9895, 0.9897, 0.9897],
                0.001: [0.9625, 0.9925, 0.9935, 0.960, 0.96, NAN],
            },
            0.01,
            "0.1 is worse: 0.001 beats it by 0.25 points (at least ",
        ),
    ],
)
def test_what_is_said_of_rates_that_share_few_seeds(
    studied: dict[float, list[float]], chosen: float, said: str
) -> None:
    found = decide(studied, settings=PARAMS.model_copy(update={"diverged_share": 0.75}))

    assert found.learning_rate == chosen
    assert any(reason.startswith(said) for reason in reasons.explain(found, {}).reasons)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.98, 0.981, 0.982], "mean of 3 seeds (95 % interval 97.85 to 98.35 %)."),
        ([0.98, 0.982, NAN], "mean of 2 of 3 seeds, the others diverged (95 % interval 96.83 to 99.37 %)."),
        (
            [0.98, NAN, NAN],
            "the value of the only one of 3 seeds that did not diverge: no interval can be given.",
        ),
    ],
)
def test_a_mean_is_of_the_seeds_that_are_left(values: list[float], said: str) -> None:
    found = decide({0.01: values}, settings=PARAMS.model_copy(update={"diverged_share": 0.7}))

    assert reasons.explain(found, {}).detail.partition("accuracy, ")[2] == said


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
    assert statuses(found) == {0.01: CHOSEN, 0.1: UNKNOWN}
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
        assert (told == SCATTERED) == (rate.status == NOT_DISTINGUISHABLE and rate.learning_rate not in near)
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
    assert statuses(before) == statuses(after)


def test_ties_go_to_the_smaller_rate() -> None:
    assert decide({0.1: [0.98, 0.98], 0.01: [0.98, 0.98]}).learning_rate == 0.01


def test_verdict_json_nests_numbers_by_rate_and_holds_no_nan() -> None:
    decided = decide(STUDY)
    tested = {0.0001: Discordance(30, 10, 0.00123456)}
    found = metrics.render(decided, {"headline": "Use it."}, tested)
    rates = found.pop("rates")
    assert found == {
        "dataset": "mnist",
        "chosen_on": "validation",
        "criterion": "best_epoch",
        "epochs": 20,
        "seeds": 3,
        "learning_rate": 0.001,
        "indistinguishable": [0.01],
        "headline": "Use it.",
    }
    assert list(rates) == ["lr-0.0001", "lr-0.001", "lr-0.01", "lr-0.1", "lr-0.3"]
    worse = decided.rate(0.0001)
    assert rates["lr-0.0001"] == {
        "status": "worse",
        "diverged": 0,
        "validation_accuracy": {"mean": 0.970667, "low": round(worse.low, 6), "high": round(worse.high, 6)},
        "test_accuracy": 0.969667,
        "p_best": round(worse.p_best, 6),
        "beaten_by_at_least": round(worse.rival_at_least, 6),
        "probability_best": 0.0,
        "roughness": 0.1,
        "rising_share": 0.2,
        "health": {"converged": 3},
        "test_disagreement": {"only_chosen_right": 30, "only_this_right": 10, "p_value": 0.001235},
    }
    assert rates["lr-0.01"]["beaten_by_at_least"] is None
    assert "test_disagreement" not in rates["lr-0.001"]
    assert rates["lr-0.3"] == {
        "status": "diverged",
        "diverged": 2,
        "validation_accuracy": {"mean": 0.9, "low": None, "high": None},
        "test_accuracy": 0.899,
        "p_best": None,
        "beaten_by_at_least": None,
        "probability_best": None,
        "roughness": 0.1,
        "rising_share": 0.2,
        "health": {"diverged": 2, "converged": 1},
    }


def test_labels_of_more_than_a_word_are_keys_without_spaces_in_verdict_json() -> None:
    runs = table({0.01: [0.98, 0.981]}).assign(health="too short to judge")
    found = metrics.render(verdict.decide(runs, PARAMS, SETTING), {}, {})

    assert found["rates"]["lr-0.01"]["health"] == {"too_short_to_judge": 2}
    single = metrics.render(decide({0.01: [0.98]}), {}, {})
    assert (single["indistinguishable"], single["seeds"]) == (None, 1)


def test_a_matrix_has_rates_rising_and_a_column_a_seed() -> None:
    rates, values = comparison.matrix(table({0.1: [1.0, 2.0], 0.01: [3.0, NAN]}), "best_val_accuracy")
    assert rates == (0.01, 0.1)
    np.testing.assert_array_equal(values, [[3.0, NAN], [1.0, 2.0]])


def test_a_rate_without_any_value_keeps_its_row_in_a_matrix() -> None:
    rates, values = comparison.matrix(table({0.3: [NAN, NAN], 0.1: [1.0, 2.0]}), "best_val_accuracy")
    assert rates == (0.1, 0.3)
    np.testing.assert_array_equal(values, [[1.0, 2.0], [NAN, NAN]])


def finished(rate: float, seed: int, columns: dict[str, list[float]], **metrics: object) -> Run:
    """A run with this history; it ended well unless `metrics` say otherwise."""
    loss, val_loss = columns.pop("loss"), columns.pop("val_loss")
    ended = {"diverged_epoch": None, "test": {"accuracy": 0.75, "loss": 0.875}} | metrics
    return Run(rate, seed, history(loss, val_loss, **columns), ended, np.zeros(0, np.uint8))


FINE = {
    "loss": [1.0, 0.5, 0.4],
    "accuracy": [0.6, 0.7, 0.8],
    "val_loss": [0.9, 0.3, 0.35],
    "val_accuracy": [0.7, 0.92, 0.91],
}
TARGETS = PARAMS.model_copy(update={"accuracy_targets": (0.9, 0.955)})


def test_a_row_of_the_comparison_says_what_its_run_says() -> None:
    (row,) = comparison.compare([finished(0.01, 7, dict(FINE))], TARGETS).to_dict("records")

    assert math.isnan(row.pop("epochs_to_95.5"))
    assert pd.isna(row.pop("diverged_epoch"))
    assert row == {
        "learning_rate": 0.01,
        "seed": 7,
        "epochs": 3,
        "best_val_accuracy": 0.92,
        "best_epoch": 2,
        "final_val_accuracy": 0.91,
        "final_val_loss": 0.35,
        "best_val_loss": 0.3,
        "final_accuracy": 0.8,
        "final_loss": 0.4,
        "test_accuracy": 0.75,
        "test_loss": 0.875,
        "roughness": 0.0,
        "rising_share": 0.0,
        "epochs_to_90": 2.0,
        "health": "too short to judge",
    }


GROWING = [3.0 * 2.0**epoch for epoch in range(6)]
ACCURACIES = ("best_val_accuracy", "final_val_accuracy", "test_accuracy", "epochs_to_90")


@pytest.mark.parametrize(
    ("run", "epoch"),
    [
        (
            finished(
                0.3,
                0,
                FINE | {"loss": [1.0, 0.5, NAN]},
                diverged_epoch=3,
                test={"accuracy": None, "loss": None},
            ),
            3,
        ),
        (finished(0.3, 0, {"loss": GROWING, "val_loss": GROWING, "val_accuracy": [0.95] * 6}), None),
        (finished(0.3, 0, dict(FINE), diverged_epoch=3), 3),
    ],
    ids=["by NaN", "by growth", "by the stage's word"],
)
def test_a_diverged_run_has_no_accuracies_whatever_it_reached_before(run: Run, epoch: int | None) -> None:
    (row,) = comparison.compare([run], TARGETS).to_dict("records")

    assert all(math.isnan(row[column]) for column in (*ACCURACIES, "best_val_loss", "test_loss"))
    assert pd.isna(row["best_epoch"])
    assert pd.isna(row["diverged_epoch"]) if epoch is None else row["diverged_epoch"] == epoch
    assert row["epochs"] == len(run.history)


def test_the_comparison_lists_runs_by_rate_and_seed_and_all_labels_of_each() -> None:
    rough = {"loss": [0.3, 0.36] * 10, "val_loss": [0.4, 0.44] * 10}
    runs = [finished(0.1, 1, dict(rough)), finished(0.1, 0, dict(FINE)), finished(0.01, 5, dict(FINE))]
    found = comparison.compare(runs, PARAMS)

    assert found[["learning_rate", "seed"]].to_numpy().tolist() == [[0.01, 5], [0.1, 0], [0.1, 1]]
    assert found["health"].tolist()[2] == "stuck; oscillating"
    assert found[["best_epoch", "diverged_epoch"]].dtypes.tolist() == [pd.Int64Dtype(), pd.Int64Dtype()]


def test_a_value_that_a_run_lacks_is_missing_in_its_row() -> None:
    run = finished(0.1, 0, dict(FINE), test={"accuracy": None, "loss": 0.5})
    found = comparison.compare([run], PARAMS)

    assert math.isnan(found["test_accuracy"][0])
    assert found["test_loss"][0] == 0.5


def test_curves_have_a_row_a_point_by_rate_seed_metric_and_epoch() -> None:
    runs = [finished(0.1, 1, dict(FINE)), finished(0.1, 0, dict(FINE)), finished(0.01, 5, dict(FINE))]
    found = comparison.curves(runs)

    assert list(found.columns) == ["learning_rate", "seed", "epoch", "metric", "value"]
    assert found.to_numpy().tolist() == [
        [rate, seed, epoch, metric, FINE[metric][epoch - 1]]
        for rate, seed in ((0.01, 5), (0.1, 0), (0.1, 1))
        for metric in CURVES
        for epoch in (1, 2, 3)
    ]
    assert found.index.tolist() == list(range(36))


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


def test_five_seeds_are_enough_and_so_are_fewer_that_leave_no_doubt() -> None:
    assert advise(HALF_DECADES, 0.01, (0.03,)) == ((), "")
    assert advise(HALF_DECADES, 0.01, (), seeds=(0, 1, 2)) == ((), "")


def test_neighbours_exactly_as_far_apart_as_may_be_are_near() -> None:
    assert advise([12.25, 3.5, 1.0], 3.5) == ((), "")


def test_factors_between_rates_are_told_to_one_decimal() -> None:
    assert advise([0.1, 0.023, 0.01], 0.023).findings == (
        "From 0.023 to 0.1 the rate changes by a factor of 4.3: the best may lie between.",
    )


def test_a_rate_between_that_would_round_to_one_of_the_grid_gets_a_digit_more() -> None:
    seeds = range(5)
    found = grid.advise([4.0, 2.0, 1.0], seeds, 20, 2.0, (), improving=False, coarse_ratio=1.5)
    assert found.lines == "train:\n  learning_rates: [4.0, 3.0, 2.0, 1.4, 1.0]\n"


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
    found = advise(HALF_DECADES, 0.01, improving=True)
    assert found.lines == "train:\n  epochs: 40\n"
    assert found.findings == (
        "At 0.01 most runs were still improving after epoch 20: train longer before trusting the comparison.",
    )


def test_one_seed_asks_for_more_and_one_rate_for_neighbours() -> None:
    found = advise([0.01], 0.01, None, seeds=(3,))
    assert found.lines == "train:\n  learning_rates: [0.1, 0.01, 0.001]\n  seeds: [3, 0, 1]\n"
    assert found.findings == (
        "The grid has one rate: there is nothing to compare it with.",
        "One seed gives no interval: with more seeds, rates can be told apart.",
    )


def test_a_grid_of_infeasible_rates_is_told_to_go_down() -> None:
    found = advise([1.0, 0.3], None, None)
    assert found.lines == "train:\n  learning_rates: [1.0, 0.3, 0.03, 0.003]\n"
    assert found.findings == ("Every rate is infeasible: the grid lies too high.",)
    assert "[1.0, 0.1, 0.01]" in advise([1.0], None, None).lines


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


def test_a_threshold_below_a_per_cent_is_not_said_to_be_none() -> None:
    fine = PARAMS.model_copy(update={"health": PARAMS.health.model_copy(update={"flat_fall": 0.004})})
    words = dict(explanations.meanings(fine, "accuracy", "validation"))
    assert "no longer falls (less than 0.4 %), on a plateau above 2 %" in words["Stuck"]
    assert "falls by 0.4 % or more" in words["Still improving"]


def test_how_epochs_to_an_accuracy_read() -> None:
    for epochs, said in (([3, 4, 5], "4 (3–5)"), ([3, 3], "3"), ([NAN, 12, 14], "12 or more (2 of 3 runs)")):
        assert presentation.reach_text(speed.reach(np.array(epochs, float)), 20) == said
    assert presentation.reach_text(speed.reach(np.array([NAN])), 20) == "not in 20"


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


def test_a_rate_whose_seeds_scatter_far_below_the_winner_is_not_listed_beside_it() -> None:
    steady = [np.array([value]) for value in (0.980, 0.981, 0.982)]
    near = [np.array([value]) for value in (0.979, 0.982, 0.980)]
    scattered = [np.array([value]) for value in (0.98, 0.5, 0.9)]
    runs = [scattered, near, steady]
    (found,) = speed.winners(runs, (1,), best_epoch=True, resolution=0.001, confidence=0.95)
    assert (found.rate, found.others) == (2, (1,))


def test_a_rate_that_had_diverged_by_then_does_not_win() -> None:
    diverging = [np.array([0.99, NAN]), np.array([0.99, 0.99, 0.99])]
    steady = [np.array([0.9, 0.9, 0.9])] * 2
    found = speed.winners([diverging, steady], (1, 3), best_epoch=True, resolution=0.001, confidence=0.95)
    assert [winner.rate for winner in found] == [0, 1]


def test_a_rate_infeasible_by_the_verdicts_rule_does_not_win_either() -> None:
    """Its loss, never NaN, ends high above its first one whatever its accuracies: after 6 epochs, not 2."""
    growing = {"loss": [1.0, 1.0, 9.0, 9.0, 9.0, 9.0], "val_loss": [1.0] * 6, "val_accuracy": [0.99] * 6}
    falling = {"loss": [1.0, 0.9, 0.8, 0.7, 0.6, 0.5], "val_loss": [1.0] * 6, "val_accuracy": [0.9] * 6}
    runs = [[finished(0.1, seed, dict(growing)) for seed in (0, 1)]]
    runs += [[finished(0.01, seed, dict(falling)) for seed in (0, 1)]]
    accuracies = [[run.history["val_accuracy"].to_numpy() for run in rate] for rate in runs]
    diverged = {
        budget: np.array([[comparison.has_diverged(run, PARAMS, budget) for run in rate] for rate in runs])
        for budget in (2, 6, 9)
    }
    found = speed.winners(
        accuracies, (2, 6, 9), best_epoch=True, resolution=0.001, confidence=0.95, diverged=diverged
    )
    assert [(winner.budget, winner.rate, winner.others) for winner in found] == [(2, 0, ()), (6, 1, ())]


def test_the_allowed_share_of_diverged_runs_holds_for_budgets_too() -> None:
    rates = [LUCKY[rate] for rate in (0.001, 0.01, 0.1)]
    accuracies = [[np.array([value]) for value in values] for values in rates]
    (found,) = speed.winners(
        accuracies, (1,), best_epoch=True, resolution=1 / 5000, confidence=0.95, diverged_share=0.5
    )
    assert found == (1, 1, (), pytest.approx(np.mean(LUCKY[0.01])))
    (found,) = speed.winners(
        accuracies[2:], (1,), best_epoch=True, resolution=1 / 5000, confidence=0.95, diverged_share=0.5
    )
    assert found == (1, 0, (), pytest.approx(0.9885))


@pytest.mark.parametrize(("epoch", "ended"), [(None, [False, False]), (3, [False, True])])
def test_a_run_has_diverged_from_the_epoch_that_its_metrics_name(
    epoch: int | None, ended: list[bool]
) -> None:
    run = finished(0.1, 0, dict(FINE), diverged_epoch=epoch)
    assert [comparison.has_diverged(run, PARAMS, epochs) for epochs in (2, 3)] == ended


def test_a_run_that_ended_before_the_budget_does_not_win_by_what_it_had_reached() -> None:
    runs = [[np.array([0.99])] * 2, [np.array([0.9, 0.9])] * 2]
    found = speed.winners(runs, (1, 2), best_epoch=True, resolution=0.001, confidence=0.95)
    assert [(winner.rate, winner.mean) for winner in found] == [(0, 0.99), (1, 0.9)]


def test_the_last_epoch_of_the_budget_is_another_criterion_than_the_best() -> None:
    runs = [[np.array([0.5, 0.99, 0.9])] * 3, [np.array([0.5, 0.95, 0.95])] * 3]
    for best_epoch, rate, mean in ((True, 0, 0.99), (False, 1, 0.95)):
        (found,) = speed.winners(runs, (3,), best_epoch=best_epoch, resolution=0.001, confidence=0.95)
        assert (found.rate, found.mean) == (rate, pytest.approx(mean))


def test_no_rate_wins_where_each_has_a_run_that_diverged() -> None:
    runs = [[np.array([0.9, NAN, NAN]), np.array([0.9, 0.9, 0.9])]]
    found = speed.winners(runs, (1, 2, 3), best_epoch=True, resolution=0.001, confidence=0.95)
    assert [winner[:3] for winner in found] == [(1, 0, ()), (2, None, None), (3, None, None)]
    assert [math.isnan(winner.mean) for winner in found] == [False, True, True]


BESIDE = [(0.5, 1), (0.98, 1), (0.979, -1)]
"""Accuracies, and whether a seed raises or lowers them: the last two are not told apart, the first is."""


@pytest.mark.parametrize(("seeds", "others"), [(1, None), (2, (2,))])
def test_which_rates_are_not_told_from_the_winner_is_known_from_two_seeds_on(
    seeds: int, others: tuple[int, ...] | None
) -> None:
    shifts = [0.0, 0.002][:seeds]
    runs = [[np.array([value]) + shift * sign for shift in shifts] for value, sign in BESIDE]
    (found,) = speed.winners(runs, (1,), best_epoch=True, resolution=0.0002, confidence=0.95)
    assert (found.rate, found.others) == (1, others)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (wording.rate(3e-05), "0.00003"),
        (wording.rate(1.0), "1.0"),
        (wording.percent(0.98421), "98.42 %"),
        (wording.percent(NAN), "–"),
        (wording.share(0.004), "0.4 %"),
        (wording.share(0.07), "7 %"),
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
