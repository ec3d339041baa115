"""verdict.json: the verdict's numbers and sentences."""

from typing import Any

from pipeline.range_test.rules import Suggestion
from pipeline.report import metrics
from pipeline.report.analysis import verdict
from pipeline.report.analysis.mcnemar import Discordance
from pipeline.report.analysis.range_test import Agreement
from pipeline.report.analysis.verdict import Verdict
from tests.report.samples import SETTING, STUDY, analysis_of, decide, say, table


def test_verdict_json_nests_numbers_by_rate_and_holds_no_nan() -> None:
    decided = decide(STUDY)
    tested = {0.0001: Discordance(30, 10, 0.00123456)}
    statement = say(decided, tested)
    content = metrics.render(analysis_of(decided, tested), statement)
    rates, study = content.pop("rates"), SETTING.params
    assert content == {
        "dataset": "mnist",
        "input_shape": "28 × 28 × 1",
        "classes": 10,
        "network": f"pipeline/networks/mlp.py (hidden_units: {study.network.values['hidden_units']})",
        "optimizer": "adam",
        "schedule": "constant",
        "chosen_on": "validation",
        "criterion": "best_epoch",
        "epochs": study.train.epochs,
        "seeds": 3,
        "learning_rate": 0.001,
        "settled": False,
        "equivalent": [],
        "indistinguishable": [0.01],
        "headline": statement.headline,
        "detail": [statement.detail],
        "warnings": statement.warnings,
        "reasons": statement.reasons,
        "advice": [*statement.advice, *statement.lines.splitlines()],
    }
    assert list(rates) == ["lr-0.0001", "lr-0.001", "lr-0.01", "lr-0.1", "lr-0.3"]
    worse = decided.rate(0.0001)
    assert rates["lr-0.0001"] == {
        "status": "worse",
        "diverged": 0,
        "validation_accuracy": {"mean": 0.970667, "low": round(worse.low, 6), "high": round(worse.high, 6)},
        "dependable": None,
        "test_accuracy": 0.969667,
        "p_best": round(worse.p_best, 6),
        "beaten_by_at_least": round(worse.rival_at_least, 6),
        "below_best_at_most": round(worse.at_most, 6),
        "seeds_needed": None,
        "roughness": 0.1,
        "rising_share": 0.2,
        "health": {"converged": 3},
        "test_disagreement": {"only_chosen_right": 30, "only_this_right": 10, "p_value": 0.001235},
    }
    assert rates["lr-0.01"]["beaten_by_at_least"] is None
    assert rates["lr-0.01"]["seeds_needed"] == decided.rate(0.01).seeds_needed > 0
    assert rates["lr-0.001"]["dependable"] == round(decided.rate(0.001).dependable, 6)
    assert "test_disagreement" not in rates["lr-0.001"]
    assert rates["lr-0.3"] == {
        "status": "diverged",
        "diverged": 2,
        "validation_accuracy": {"mean": 0.9, "low": None, "high": None},
        "dependable": None,
        "test_accuracy": 0.899,
        "p_best": None,
        "beaten_by_at_least": None,
        "below_best_at_most": None,
        "seeds_needed": None,
        "roughness": 0.1,
        "rising_share": 0.2,
        "health": {"diverged": 2, "converged": 1},
    }


def render(decision: Verdict) -> dict[str, Any]:
    return metrics.render(analysis_of(decision), say(decision))


def test_labels_of_more_than_a_word_are_keys_without_spaces_in_verdict_json() -> None:
    runs = table({0.01: [0.98, 0.981]}).assign(health="too short to judge")
    content = render(verdict.decide(runs, SETTING))

    assert content["rates"]["lr-0.01"]["health"] == {"too_short_to_judge": 2}
    single = render(decide({0.01: [0.98]}))
    assert (single["indistinguishable"], single["seeds"]) == (None, 1)
    assert single["rates"]["lr-0.01"]["dependable"] is None  # a single run shows no spread


def test_equivalent_rates_are_listed_apart_from_those_that_are_not_distinguishable() -> None:
    equal = [0.98, 0.981, 0.982, 0.98, 0.981]
    content = render(decide({0.1: equal, 0.01: equal, 0.001: [0.96, 0.99, 0.96, 0.99, 0.98]}))
    assert (content["learning_rate"], content["settled"]) == (0.01, False)
    assert (content["equivalent"], content["indistinguishable"]) == ([], [0.001, 0.1])
    content = render(decide({0.1: equal, 0.01: equal, 0.001: [0.9] * 5}))
    assert (content["equivalent"], content["indistinguishable"]) == ([0.1], [])


def test_a_range_tests_suggestions_are_metrics_too() -> None:
    decision = decide(STUDY)
    held = (Suggestion(0.0012345, 0.001, 0.002), Agreement(0.001, True))
    analysis = analysis_of(decision)._replace(range_test={"minimum / 10": held})

    content = metrics.render(analysis, say(decision))
    assert content["range_test"] == {"minimum_10": {"suggests": 0.00123, "agrees": True}}
    assert "range_test" not in render(decision)
