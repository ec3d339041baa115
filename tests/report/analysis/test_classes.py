"""Accuracy by class, and the share that always answering the largest class would reach."""

import numpy as np
import pytest

from pipeline.report.analysis import classes
from pipeline.report.analysis.classes import Majority
from pipeline.report.analysis.verdict import Verdict
from tests.report.samples import NAN, SETTING, TASK, decide, setting_with

NAMES = ("benign", "malignant", "unknown")


def decision(values: list[float]) -> Verdict:
    """Choose 0.01, with these accuracies by seed, in a task of three classes."""
    setting = setting_with("report", diverged_share=0.5)._replace(task=TASK._replace(classes=NAMES))
    return decide({0.01: values, 0.1: [0.1] * len(values)}, setting=setting)


def test_classes_are_tested_over_the_seeds_that_did_not_diverge_lowest_first() -> None:
    right = np.array([[True, True, True, False], [True, False, False, False], [False] * 4])
    labels = np.array([0, 0, 1, 1])

    assert classes.tested_by_class(decision([0.9, 0.8, NAN]), {0.01: right}, labels) == (
        ("malignant", 2, 0.25),
        ("benign", 2, 0.75),
        ("unknown", 0, pytest.approx(NAN, nan_ok=True)),
    )


def test_without_a_choice_there_is_nothing_to_test_and_nothing_to_compare() -> None:
    nothing = decide({0.1: [NAN, NAN]})

    assert classes.tested_by_class(nothing, {}, np.array([0, 1])) == ()
    assert classes.near_majority(nothing, np.array([0, 1])) is None


@pytest.mark.parametrize(
    ("mean", "near"), [(0.95, True), (0.98, True), (0.94, True), (0.9925, True), (1.0, False)]
)
def test_a_criterion_within_5_points_of_the_largest_class_is_near_it(mean: float, near: bool) -> None:
    labels = np.array([1] * 19 + [0])

    majority = classes.near_majority(decision([mean, mean]), labels)
    assert majority == (Majority("malignant", 0.95) if near else None)


def test_equal_classes_are_far_below_a_good_network() -> None:
    assert classes.near_majority(decide({0.01: [0.98]}, setting=SETTING), np.arange(10)) is None
