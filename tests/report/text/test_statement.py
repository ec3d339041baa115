"""The verdict, the advice and the range test in sentences."""

import pytest
from ruamel.yaml import YAML

from pipeline.range_test.rules import Suggestion
from pipeline.report.analysis import verdict
from pipeline.report.analysis.classes import Majority
from pipeline.report.analysis.mcnemar import Discordance
from pipeline.report.analysis.range_test import Agreement
from pipeline.report.analysis.status import NOT_DISTINGUISHABLE, SCATTERED
from pipeline.report.analysis.verdict import Verdict
from pipeline.report.text import wording
from pipeline.report.text.statement import compose
from tests.report.samples import (
    ALLOWING,
    LUCKY,
    NAN,
    SETTING,
    STUDY,
    TASK,
    analysis_of,
    decide,
    say,
    setting_with,
    table,
    verdict_on,
)


def test_the_reasons_say_that_a_higher_mean_was_beaten_on_the_common_seeds() -> None:
    reasons = say(decide(LUCKY, setting=ALLOWING)).reasons

    assert reasons[0].startswith("0.01 has the highest mean of the rates that none is known to beat on")
    assert any(reason.startswith("0.1 is worse by 0.11 points (at least ") for reason in reasons)


@pytest.mark.parametrize(
    ("studied", "chosen", "said"),
    [
        (
            {0.1: [NAN, 0.981, 0.983], 0.01: [0.97, 0.982, 0.9826]},
            0.1,
            "0.01 is not distinguishable from it: 0.03 points higher on the seeds that both have, which may",
        ),
        (
            {0.1: [NAN, NAN, 0.99, 0.99], 0.01: [0.98, 0.98, NAN, NAN]},
            0.1,
            "0.01 is not distinguishable from it: too few seeds have runs at both rates.",
        ),
        (
            {0.1: [NAN, NAN, NAN, 0.99], 0.01: [0.97, 0.971, 0.97, 0.992], 0.001: [0.9, 0.9, 0.9, 0.92]},
            0.01,
            "0.1 is not distinguishable from it: too few seeds have runs at both rates.",
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
    decision = decide(studied, setting=setting_with("report", diverged_share=0.75))

    assert decision.learning_rate == chosen
    assert any(reason.startswith(said) for reason in say(decision).reasons)


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
    decision = decide({0.01: values}, setting=setting_with("report", diverged_share=0.7))

    assert say(decision).detail.partition("accuracy, ")[2] == said


def test_nothing_is_chosen_where_every_rate_diverged() -> None:
    decision = decide({0.1: [NAN, NAN], 0.3: [NAN, 0.5]})
    statement = say(decision)
    assert statement.headline == "No learning rate can be recommended."
    assert statement.detail == "Every rate has runs that diverged: the grid lies too high."
    assert statement.reasons == ["0.3 diverged in 1 of 2 runs.", "0.1 diverged in 2 of 2 runs."]
    assert statement.advice == ["Every rate diverged: the grid lies too high."]


def test_one_seed_gives_no_interval_and_says_which_line_to_change() -> None:
    decision = decide({0.1: [0.95], 0.01: [0.98]})
    statement = say(decision)
    assert statement.headline == "Learning rate 0.01 leads, but with one seed no interval can be given."
    assert statement.detail == (
        "It has the highest best validation accuracy, 98.00 %; whether it is better than the others "
        "cannot be said."
    )
    assert statement.reasons[0] == "0.1 lies 3.00 points lower. The runs of 0.1: converged."
    assert any("train.seeds in params.yaml: seeds: [0, 1, 2]" in warning for warning in statement.warnings)


def test_a_choice_made_on_test_data_says_so() -> None:
    statement = say(decide(STUDY, setting=setting_with("data", validation_size=0)))
    assert statement.warnings[0].startswith("This choice was made on test data: with validation_size 0 ")
    assert "best test accuracy" in statement.detail


def test_a_sample_is_not_taken_for_more() -> None:
    statement = say(decide(STUDY, setting=SETTING._replace(task=TASK._replace(dataset="digits"))))
    assert statement.warnings == [
        "The data set is digits, the small sample that scikit-learn ships: it shows that the study works, "
        "and no more."
    ]


def test_an_accuracy_near_the_largest_class_is_not_praised() -> None:
    analysis = analysis_of(decide(STUDY))._replace(majority=Majority("benign", 0.95))
    assert compose(analysis).warnings == [
        "98.42 % says little: always answering benign, the largest class, would reach 95.00 % of the "
        "validation images."
    ]


def test_the_verdict_in_sentences() -> None:
    statement = say(decide(STUDY))
    assert statement.headline == "Use learning rate 0.001."
    assert statement.detail == (
        "It reaches 98.42 % best validation accuracy, mean of 3 seeds (95 % interval 98.37 to 98.47 %). "
        "0.01 is not distinguishable from it; 0.0001 and 0.1 are worse; 0.3 diverged."
    )
    assert statement.warnings == []
    assert statement.reasons[1].startswith(
        "0.01 is not distinguishable from it: 0.02 points lower in the mean, but"
    )
    assert any(reason.startswith("0.0001 is worse by 1.35 points (at least ") for reason in statement.reasons)
    assert "Had every run kept its last epoch instead, the choice would be the same." in statement.reasons


NEAR = [0.982, 0.983, 0.981, 0.984, 0.982]
WILD = [0.59, 0.98, 0.63, 0.98, 0.98]
ALIKE = "not distinguishable from it"


@pytest.mark.parametrize(
    ("others", "clauses", "near"),
    [
        ({0.01: NEAR}, f"0.01 is {ALIKE}.", (0.01,)),
        ({0.01: NEAR, 0.03: NEAR}, f"0.01 and 0.03 are {ALIKE}.", (0.01, 0.03)),
        (
            {0.3: WILD},
            "0.3 lies 15.10 points lower, but its seeds scatter too much to call it worse.",
            (),
        ),
        (
            {0.01: NEAR, 0.1: [0.9] * 5, 0.3: WILD, 1.0: [NAN] * 5},
            f"0.01 is {ALIKE}; 0.1 is worse; 0.3 lies 15.10 points lower, but its seeds scatter too much to "
            "call it worse; 1.0 diverged.",
            (0.01,),
        ),
        (
            {0.1: [0.85, 0.98, 0.86, 0.98, 0.87], 0.3: WILD},
            "0.1 and 0.3 lie 7.50 and 15.10 points lower, but their seeds scatter too much to call them "
            "worse.",
            (),
        ),
        ({0.1: [0.991, 0.961, 0.991, 0.961, 0.961]}, f"0.1 is {ALIKE}.", (0.1,)),  # a point lower, no more
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
    decision = decide({0.003: [0.983, 0.984, 0.982, 0.983, 0.983], **others})
    statement = say(decision)
    assert decision.learning_rate == 0.003
    assert statement.detail.partition("%). ")[2] == clauses
    assert decision.near == near
    for rate in decision.rates:
        shown = decision.shown(rate)
        assert (shown == SCATTERED) == (rate.status == NOT_DISTINGUISHABLE and rate.learning_rate not in near)
        if shown == SCATTERED:
            assert any(
                reason.startswith(f"{wording.rate(rate.learning_rate)} lies ")
                and "call it worse (p = " in reason
                for reason in statement.reasons
            )


def test_equal_means_are_called_the_same() -> None:
    statement = say(decide({0.1: [0.98, 0.981], 0.01: [0.98, 0.981]}))
    assert statement.reasons[1].startswith("0.1 is not distinguishable from it: the same mean (p = ")


def test_another_choice_by_the_other_criterion_is_named() -> None:
    final = STUDY | {0.001: [0.97, 0.971, 0.972]}
    statement = say(decide(STUDY, final))
    assert "Had every run kept its last epoch instead, the choice would be 0.01." in statement.reasons
    last = say(decide(STUDY, final, setting_with("train", keep="last_epoch")))
    assert last.headline == "Use learning rate 0.01."
    assert "Had every run kept its best epoch instead, the choice would be 0.001." in last.reasons


def test_the_check_on_test_images_names_the_rates_that_differ() -> None:
    tested = {0.0001: Discordance(30, 10, 0.001), 0.01: Discordance(10, 9, 0.9)}
    said = (
        "On the test images, 0.001 reaches 98.32 % with the networks kept, and "
        "differs from {} (exact McNemar tests; they choose nothing)."
    )

    assert say(decide(STUDY), tested).reasons[-1] == said.format("0.0001")
    del tested[0.0001]
    assert say(decide(STUDY), tested).reasons[-1] == said.format("no other rate")


def test_health_labels_are_counted_where_not_all_runs_have_them() -> None:
    runs = table({0.1: [0.9, 0.91], 0.01: [0.98, 0.981]})
    runs["health"] = ["stuck; oscillating", "oscillating", *["too short to judge"] * 2]
    reasons = say(verdict.decide(runs, SETTING)).reasons

    assert reasons[1].endswith(" The runs of 0.1: stuck (1 of 2) and oscillating.")
    assert reasons[2] == "The runs of 0.01 are too short to judge their curves."


HALF_DECADES = [0.1, 0.03, 0.01, 0.003, 0.001]


@pytest.mark.parametrize(
    ("decision", "advice"),
    [
        (verdict_on(HALF_DECADES, 0.01), []),
        (
            verdict_on(HALF_DECADES, 0.1),
            ["The chosen rate is the highest of the grid: a better one may lie above it."],
        ),
        (
            verdict_on(HALF_DECADES, 0.001),
            ["The chosen rate is the lowest of the grid: a better one may lie below it."],
        ),
        (
            verdict_on(HALF_DECADES, 0.03, (0.1,)),
            [
                "The highest rate, 0.1, is not distinguishable from the best: the range of good rates may go "
                "on above it."
            ],
        ),
        (
            verdict_on(HALF_DECADES, 0.03, (0.01,), (0, 1)),
            ["1 rate is not distinguishable from the best with 2 seeds: more seeds narrow the intervals."],
        ),
        (
            verdict_on(HALF_DECADES, 0.01, (0.003, 0.03), (0, 1, 2)),
            ["2 rates are not distinguishable from the best with 3 seeds: more seeds narrow the intervals."],
        ),
        (
            verdict_on([0.1, 0.01, 0.001, 0.0001], 0.001),
            [
                "From 0.001 to 0.0001 and 0.01 the rate changes by a factor of 10 and 10: the best may lie "
                "between."
            ],
        ),
        (
            verdict_on([0.1, 0.023, 0.01], 0.023),
            ["From 0.023 to 0.1 the rate changes by a factor of 4.3: the best may lie between."],
        ),
        (
            verdict_on(HALF_DECADES, 0.01, improving=True),
            [
                "At 0.01 most runs were still improving after epoch 20: train longer before trusting the "
                "comparison."
            ],
        ),
        (
            verdict_on([0.01], 0.01, seeds=(3,)),
            [
                "The grid has one rate: there is nothing to compare it with.",
                "One seed gives no interval: with more seeds, rates can be distinguished.",
            ],
        ),
    ],
)
def test_what_is_open_is_said(decision: Verdict, advice: list[str]) -> None:
    assert say(decision).advice == advice


@pytest.mark.parametrize(
    ("decision", "lines"),
    [
        (verdict_on(HALF_DECADES, 0.01), ""),
        (verdict_on(HALF_DECADES, 0.01, improving=True), "train:\n  epochs: 40\n"),
        (
            verdict_on([0.01], 0.01, seeds=(3,)),
            "train:\n  learning_rates: [0.1, 0.01, 0.001]\n  seeds: [3, 0, 1]\n",
        ),
        (
            verdict_on([0.00001, 0.00003], 0.00003),
            "train:\n  learning_rates: [0.00009, 0.00003, 0.00001]\n",
        ),
    ],
)
def test_lines_for_params_yaml(decision: Verdict, lines: str) -> None:
    assert say(decision).lines == lines


@pytest.mark.parametrize("chosen", [0.1, 0.01, 0.0001, None])
def test_the_lines_can_be_pasted(chosen: float | None) -> None:
    statement = say(verdict_on([0.1, 0.01, 0.0001], chosen, seeds=(0,), improving=True))
    rates = YAML(typ="safe").load(statement.lines)["train"]["learning_rates"]
    assert {0.1, 0.01, 0.0001} < set(rates)
    assert all(isinstance(rate, float) for rate in rates)
    assert len(set(rates)) == len(rates)


@pytest.mark.parametrize(
    ("suggested", "agreement", "said"),
    [
        (
            0.5,
            Agreement(None, None),
            "0.5, which is outside the study's grid: neither confirmed nor refuted.",
        ),
        (0.0112, Agreement(0.01, True), "0.011, nearest to 0.01: the study agrees; that is its choice."),
        (0.03, Agreement(0.03, None), "0.03, nearest to 0.03: the study cannot say how good that is."),
        (
            0.03,
            Agreement(0.03, True),
            "0.03, nearest to 0.03: the study agrees; that rate is not distinguishable from its choice.",
        ),
        (0.1, Agreement(0.1, False), "0.1, nearest to 0.1: the study disagrees; that rate is worse."),
    ],
)
def test_a_suggestion_of_the_range_test_is_held_against_the_study(
    suggested: float, agreement: Agreement, said: str
) -> None:
    held = (Suggestion(suggested, suggested, suggested), agreement)
    analysis = analysis_of(verdict_on([*HALF_DECADES, 0.3], 0.01, (0.03,)))._replace(
        range_test={"minimum / 10": held}
    )
    assert compose(analysis).range_test == [f"Minimum / 10 suggests {said}"]


def test_a_suggestion_too_scattered_to_tell_is_far_below() -> None:
    analysis = analysis_of(decide({0.003: [0.983, 0.984, 0.982, 0.983, 0.983], 0.3: WILD}))
    held = (Suggestion(0.3, 0.3, 0.3), Agreement(0.3, False))
    assert compose(analysis._replace(range_test={"valley": held})).range_test == [
        "Valley suggests 0.3, nearest to 0.3: far below the study's choice, though too scattered to tell."
    ]
