"""The verdict, the advice and the range test in sentences."""

import pytest
from ruamel.yaml import YAML

from pipeline.range_test.rules import Suggestion
from pipeline.report.analysis import verdict
from pipeline.report.analysis.classes import Majority
from pipeline.report.analysis.mcnemar import Discordance
from pipeline.report.analysis.range_test import Agreement
from pipeline.report.analysis.verdict import Verdict
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

    assert " The mean of 0.1 is higher, but another rate beats it on their common seeds. " in reasons[0]
    assert any(reason.startswith("0.1 is equivalent: its mean is 98.85 %, at most 0.") for reason in reasons)


@pytest.mark.parametrize(
    ("studied", "chosen", "said"),
    [
        (
            {0.1: [NAN, NAN, 0.99, 0.99], 0.01: [0.98, 0.98, NAN, NAN]},
            0.1,
            "0.01 is not distinguishable from the best: its mean is 98.00 %, but too few seeds have runs at "
            "both rates. Its runs: ",
        ),
        (  # on the seeds of both, 0.1 is above the choice; it is beaten by 0.001
            {
                0.1: [0.960, 0.990, 0.991, NAN, NAN, NAN],
                0.01: [NAN, NAN, NAN, 0.9895, 0.9897, 0.9897],
                0.001: [0.9645, 0.9945, 0.9955, 0.960, 0.96, NAN],
            },
            0.01,
            "0.1 is worse: its mean is 98.03 %, 0.001 beats it by 0.45 points, at least ",
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
        ([0.98, 0.982, NAN], "mean of 2 of 3 seeds, the other diverged (95 % interval 96.83 to 99.37 %)."),
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
    assert statement.detail == "Every rate has runs that diverged."
    assert statement.reasons == [
        "0.1 and 0.3 diverged in 3 of 4 runs. Their runs: diverged 3/4, converged 1/4."
    ]
    assert statement.advice == ["Every rate diverged: the grid lies too high."]
    lower = say(decide({0.01: [NAN, NAN], 2e-9: [NAN, NAN]}))
    assert lower.advice == ["Every rate diverged: lower ones would hardly train, so the cause is another."]


def test_one_seed_gives_no_interval_and_says_which_line_to_change() -> None:
    decision = decide({0.1: [0.95], 0.01: [0.98]})
    statement = say(decision)
    assert statement.headline == "Learning rate 0.01 leads, but with one seed no interval can be given."
    assert statement.detail == (
        "It has the highest best validation accuracy, 98.00 %; whether it is better than the others "
        "cannot be said."
    )
    assert statement.reasons[:2] == [
        "The runs of 0.01: converged 1/1.",
        "0.1 cannot be compared with one seed: it reaches 95.00 %. Its runs: converged 1/1.",
    ]
    assert any("train.seeds in params.yaml: seeds: [0, 1, 2]" in warning for warning in statement.warnings)


def test_what_shares_the_highest_value_of_one_seed_is_named() -> None:
    detail = say(decide({0.1: [0.95], 0.01: [0.98], 0.001: [0.98]})).detail
    assert detail.startswith("It shares the highest best validation accuracy, 98.00 %, with 0.01; whether ")


@pytest.mark.parametrize(
    ("values", "detail", "reasons"),
    [
        (
            [0.98],
            "It reaches 98.00 % best validation accuracy, with one seed: no interval can be given.",
            ["The runs of 0.01: converged 1/1."],
        ),
        (
            [0.98, 0.981, 0.982],
            "It reaches 98.10 % best validation accuracy, mean of 3 seeds (95 % interval 97.85 to 98.35 %).",
            [
                "0.01 is chosen: it is the only rate that was tried. A new run reaches at least 97.98 % with "
                "a probability of 80 %. Its runs: converged 3/3."
            ],
        ),
    ],
)
def test_of_a_single_rate_no_comparison_is_claimed(
    values: list[float], detail: str, reasons: list[str]
) -> None:
    statement = say(decide({0.01: values}))
    assert statement.headline == "Learning rate 0.01 is the only one that was tried."
    assert (statement.detail, statement.reasons) == (detail, reasons)


def test_of_the_only_rate_that_did_not_diverge_no_confidence_is_claimed() -> None:
    setting = setting_with("report", diverged_share=0.7)
    reasons = say(decide({0.01: [0.98, NAN, NAN], 0.1: [NAN] * 3}, setting=setting)).reasons
    assert reasons[0] == (
        "0.01 is chosen: it is the only rate that did not diverge. Its runs: diverged 2/3, converged 1/3."
    )
    assert not [reason for reason in reasons if "settled" in reason]
    three = say(decide({0.01: [0.98, 0.981, NAN], 0.1: [NAN] * 3}, setting=setting)).reasons
    assert "with a probability of 80 %, if it does not diverge. Its runs" in three[0]


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
    assert statement.reasons[:5] == [
        "0.001 is chosen: of the rates that may be the best and have a mean less than 0.10 points below the "
        "highest, it is the one at which a new run can be counted on to reach most. A new run reaches at "
        "least 98.37 % with a probability of 80 %. It also has the highest mean. Its runs: converged 3/3.",
        "The verdict is not settled: the best rate may be better by up to 0.41 points; 5 seeds would "
        "probably settle it.",
        "0.01 is not distinguishable from the best: its mean is 98.40 %; 5 seeds would probably tell. Its "
        "runs: converged 3/3.",
        "0.0001 is worse: its mean is 97.07 %, 0.001 beats it by 1.35 points, at least 0.99 (95 % "
        "confidence, p = 0.004). Its runs: converged 3/3.",
        "0.1 is worse: its mean is 95.53 %, 0.01 beats it by 2.87 points, at least 0.05 (95 % confidence, "
        "p = 0.048). Its runs: converged 3/3.",
    ]
    assert "Had every run kept its last epoch instead, the choice would be the same." in statement.reasons


STEADY = [0.0004, -0.0004, 0.0, 0.0002, -0.0002]


def about(mean: float) -> list[float]:
    return [mean + noise for noise in STEADY]


def test_neighbours_of_one_status_are_said_together_and_three_are_a_range() -> None:
    means = {0.0001: 0.9, 0.0002: 0.91, 0.0003: 0.95, 0.001: 0.98, 0.002: 0.9801, 0.003: 0.9805, 0.01: 0.9802}
    others = {0.1: [0.9] * 5, 1.0: [NAN] * 5}
    statement = say(decide({rate: about(mean) for rate, mean in means.items()} | others))

    assert statement.detail.partition("%). ")[2] == (
        "0.001, 0.002 and 0.01 are equivalent; 0.0001 to 0.0003 (3 rates) and 0.1 are worse; 1.0 diverged."
    )
    said = statement.reasons[2:]
    assert said[0].startswith("0.001 and 0.002 are equivalent: their means are 98.00 to 98.01 %, at most 0.0")
    assert said[0].endswith(" points below the best. Their runs: converged 10/10.")
    assert said[2].startswith(
        "0.0001 to 0.0003 (3 rates) are worse: their means are 90.00 to 95.00 %, others beat them by 3.05 to "
        "8.05 points, at least 3.0"
    )
    assert said[4] == "1.0 diverged in 5 of 5 runs. Its runs: diverged 5/5."


def test_what_is_settled_is_said() -> None:
    settled = say(decide({0.01: about(0.98), 0.1: about(0.9801)})).reasons
    assert settled[1] == "The verdict is settled: no other rate is better by 0.20 points (95 % confidence)."
    alone = say(decide({0.01: about(0.98)})).reasons
    assert not [reason for reason in alone if "settled" in reason]
    wild = say(decide({0.01: about(0.98), 0.1: [0.96, 0.99, 0.96, 0.99, 0.98]})).reasons
    assert wild[1].endswith(" points; more than 20 seeds may be needed to settle it.")
    assert wild[2] == (
        "0.1 is not distinguishable from the best: its mean is 97.60 %; more than 20 seeds may be needed to "
        "tell. Its runs: converged 5/5."
    )


def test_a_higher_mean_whose_runs_scatter_more_is_the_number_beside_the_choice() -> None:
    reasons = say(decide({0.01: [0.9835, 0.9790, 0.9824], 0.001: [0.9812, 0.9814, 0.9811]})).reasons
    assert (
        "A new run reaches at least 98.03 % with a probability of 80 %. The highest mean is that of 0.01, "
        "98.16 %; a new run there can be counted on to reach 97.98 %." in reasons[0]
    )


def test_a_higher_mean_of_too_few_seeds_is_said_to_be_that() -> None:
    setting = setting_with("report", diverged_share=0.7)
    values = {0.1: [0.99, NAN, NAN], 0.01: [0.98, 0.981, 0.982], 0.001: [0.97, 0.971, 0.972]}
    reasons = say(decide(values, setting=setting)).reasons
    assert "The mean of 0.1 is higher, but it has too few seeds in common with the others." in reasons[0]


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

    assert reasons[0].endswith(" Its runs: too short to judge 2/2.")
    assert reasons[2].endswith(" Its runs: stuck 1/2, oscillating 2/2.")


def test_an_equivalent_rate_at_the_edge_is_called_so() -> None:
    advice = say(decide({0.01: about(0.98), 0.1: about(0.9801)})).advice
    assert "The lowest rate, 0.01, is equivalent: the range of good rates may go on below it." in advice


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
                "on above it.",
                "The verdict is not settled with 5 seeds: the next planned look is at 8.",
            ],
        ),
        (
            verdict_on(HALF_DECADES, 0.03, (0.01,), (0, 1)),
            ["The verdict is not settled with 2 seeds: the next planned look is at 3."],
        ),
        (
            verdict_on(HALF_DECADES, 0.01, (0.003,), tuple(range(20))),
            [
                "The verdict is not settled after the last planned look: take the rates that are not "
                "distinguishable for equally good, or set a wider report.margin."
            ],
        ),
        (
            verdict_on(HALF_DECADES, 0.01, (0.003, 0.03), (0, 1, 2)),
            ["The verdict is not settled with 3 seeds: the next planned look is at 5."],
        ),
        (
            verdict_on([0.1, 0.01, 0.001, 0.0001], 0.001),
            ["0.0001 and 0.01 are more than a factor of 3.5 away from 0.001: the best may lie between."],
        ),
        (
            verdict_on([0.1, 0.023, 0.01], 0.023),
            ["0.1 is more than a factor of 3.5 away from 0.023: the best may lie between."],
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
        (
            0.03,
            Agreement(0.03, None),
            "0.03, nearest to 0.03: the study cannot tell; that rate is not distinguishable.",
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


def test_of_a_suggestion_one_seed_says_nothing() -> None:
    held = (Suggestion(0.1, 0.1, 0.1), Agreement(0.1, None))
    analysis = analysis_of(decide({0.1: [0.95], 0.01: [0.98]}))._replace(range_test={"valley": held})
    assert compose(analysis).range_test == [
        "Valley suggests 0.1, nearest to 0.1: the study cannot tell with one seed."
    ]
