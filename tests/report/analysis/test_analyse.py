"""All numbers of a report together: each part gets what belongs to it."""

import numpy as np

from pipeline.range_test.rules import Suggestion
from pipeline.report.analysis.analyse import Analysis, analyse
from pipeline.report.analysis.classes import ClassAccuracy, Majority
from pipeline.report.analysis.mcnemar import Discordance
from pipeline.report.analysis.range_test import Agreement
from tests.report.samples import TASK, setting_with, trained

RIGHT = {0.001: [0, 0, 1, 1], 0.1: [0, 1, 0, 0]}
LABELS = {"test": np.array([0, 0, 0, 1]), "validation": np.array([1] * 95 + [0] * 5)}


def analysed(suggestions: dict[str, Suggestion] | None = None) -> Analysis:
    """Analyse two rates with three seeds: 0.001 reaches 97 % after 94 %, 0.1 stays at 94 %."""
    setting = setting_with("report", accuracy_targets=(0.93, 0.96), budgets=(1, 2), coarse_ratio=200.0)
    runs = []
    for rate, last in ((0.001, 0.97), (0.1, 0.94)):
        for seed in (0, 1, 2):
            accuracy = [0.94 - seed / 1000, last + seed / 1000]
            columns = {"loss": [1.0, 0.5], "val_loss": [1.0, 0.5], "val_accuracy": accuracy}
            runs.append(trained(rate, seed, columns)._replace(predictions=np.array(RIGHT[rate])))
    return analyse(runs, setting._replace(task=TASK._replace(classes=("no", "yes"))), LABELS, suggestions)


def test_each_part_of_the_analysis_gets_what_belongs_to_it() -> None:
    suggestion = Suggestion(0.002, 0.001, 0.003)
    analysis = analysed({"valley": suggestion})

    assert analysis.verdict.learning_rate == 0.001
    assert list(analysis.table["best_val_accuracy"]) == [0.97, 0.971, 0.972, 0.94, 0.941, 0.942]
    assert len(analysis.curves) == 2 * 3 * 2 * 4
    assert analysis.tested == {0.1: Discordance(6, 3, 1.0)}
    assert analysis.classes == (ClassAccuracy("no", 3, 2 / 3), ClassAccuracy("yes", 1, 1.0))
    assert analysis.majority == Majority("yes", 0.95)
    assert analysis.advice.gaps == ()
    assert analysis.advice.edges == (0.001,)
    expected = {0.001: [[1, 1, 1], [2, 2, 2]], 0.1: [[1, 1, 1], [np.nan] * 3]}
    assert analysis.reach.keys() == expected.keys()
    for rate, epochs in expected.items():
        np.testing.assert_array_equal(analysis.reach[rate], epochs)
    assert [(winner.budget, winner.rate) for winner in analysis.winners] == [(1, 0.001), (2, 0.001)]
    assert analysis.range_test == {"valley": (suggestion, Agreement(0.001, True))}


def test_a_study_without_a_range_test_says_so_and_one_without_a_suggestion_too() -> None:
    assert analysed().range_test is None
    assert analysed({}).range_test == {}
