"""What changed between two verdicts, in Markdown."""

from pipeline.report.text import changes


def test_changes_between_verdicts_are_escaped_and_complete() -> None:
    before = {
        "dataset": "mnist",
        "learning_rate": 0.01,
        "indistinguishable": [],
        "rates": {
            "lr-0.01": {"status": "chosen", "validation_accuracy": {"mean": 0.98}, "test_accuracy": 0.97}
        },
    }
    after = {
        "dataset": "<b>",
        "learning_rate": 0.001,
        "indistinguishable": [0.01],
        "rates": {
            "lr-0.01": {
                "status": "not distinguishable",
                "validation_accuracy": {"mean": 0.981},
                "test_accuracy": None,
            },
            "lr-0.001": {"status": "chosen"},
        },
    }
    assert changes.list_changes(before, after) == [
        "The choice changed: 0.01 before, 0.001 now.",
        "Data set: mnist before, &lt;b&gt; now.",
        "Not distinguishable from it: none before, 0.01 now.",
        "0.001 is new.",
        "0.01: chosen before, not distinguishable now; validation accuracy 98.00 % before, 98.10 % now "
        "(+0.100 points); test accuracy 97.00 % before, none now.",
    ]


def test_what_was_studied_is_compared_where_both_verdicts_name_it() -> None:
    old = {"learning_rate": 0.01, "dataset": "mnist", "criterion": "best_epoch"}
    now = old | {"classes": 10, "network": "mlp.py (hidden_units: 10)", "optimizer": "adam"}

    assert changes.list_changes(old, now) == []
    assert changes.list_changes(now, now | {"optimizer": "sgd (momentum: 0.9)"}) == [
        "The choice is still 0.01.",
        "Optimizer: adam before, sgd (momentum: 0.9) now.",
    ]


def test_rates_that_became_equivalent_are_named() -> None:
    now = {"learning_rate": 0.01, "equivalent": [0.001], "indistinguishable": []}

    assert changes.list_changes(now | {"equivalent": []}, now) == [
        "The choice is still 0.01.",
        "Equivalent to it: none before, 0.001 now.",
    ]


def test_what_an_older_verdict_did_not_say_is_no_change() -> None:
    now = {"learning_rate": 0.01, "equivalent": [], "settled": False}
    now["rates"] = {"lr-0.01": {"status": "chosen", "test_accuracy": 0.98}}
    then = {"learning_rate": 0.1, "rates": {"lr-0.01": {"standing": "infeasible", "test_accuracy": None}}}

    assert changes.list_changes(then, now) == [
        "The choice changed: 0.1 before, 0.01 now.",
        "0.01: test accuracy none before, 98.00 % now.",
    ]


def test_without_a_change_nothing_is_listed() -> None:
    verdict = {"learning_rate": 0.01, "indistinguishable": None, "rates": {"lr-0.01": {"status": "chosen"}}}

    assert changes.list_changes(verdict, verdict) == []
    assert changes.render(verdict, verdict, "v1*") == (
        "### Changed against v1\\*\n\nNothing: the same choice, statuses and accuracies.\n"
    )
    assert changes.render(None, verdict, "v1").endswith("\n\nThat revision has no verdict yet.\n")


def test_a_change_without_another_choice_says_that_the_choice_is_the_same() -> None:
    before = {"learning_rate": 0.01, "seeds": 3, "epochs": 20, "criterion": "best_epoch", "chosen_on": "test"}
    after = before | {"seeds": 5, "epochs": 10, "criterion": "last_epoch", "chosen_on": "validation"}

    assert changes.list_changes(before, after) == [
        "The choice is still 0.01.",
        "Chosen on: test before, validation now.",
        "Criterion: best\\_epoch before, last\\_epoch now.",
        "Seeds: 3 before, 5 now.",
        "Epochs: 20 before, 10 now.",
    ]


def test_a_verdict_that_more_seeds_settled_is_said_to_be() -> None:
    before = {"learning_rate": 0.01, "seeds": 3, "settled": False}
    after = {"learning_rate": 0.01, "seeds": 5, "settled": True}
    assert changes.list_changes(before, after)[1:] == [
        "Seeds: 3 before, 5 now.",
        "The verdict is settled now.",
    ]
    assert changes.list_changes(after, before)[-1] == "The verdict is not settled any more."
