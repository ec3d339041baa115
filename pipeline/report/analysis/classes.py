"""What accuracies mean for single classes, and for an answer that looks at nothing."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.report.analysis.statistics import Bools
from pipeline.report.analysis.verdict import Verdict

_LITTLE = 0.05
"""An accuracy less than this above the largest class's share says little."""


class ClassAccuracy(NamedTuple):
    """A class, its number of test examples, and the share of them that is recognised; NaN without any."""

    name: str
    examples: int
    accuracy: float


class Majority(NamedTuple):
    """The largest class and its share, which always answering it would reach."""

    name: str
    share: float


def tested_by_class(
    verdict: Verdict, right: Mapping[float, Bools], labels: NDArray[np.intp]
) -> tuple[ClassAccuracy, ...]:
    """Average the chosen rate's test accuracy over its seeds, class by class; lowest first.

    Args:
        right: as `mcnemar.check_on_test` takes it.
    """
    chosen, names = verdict.chosen, verdict.setting.task.classes
    if chosen is None:
        return ()
    shares = right[chosen.learning_rate][np.isfinite(chosen.values)].mean(axis=0)
    counts = np.bincount(labels, minlength=len(names))
    with np.errstate(invalid="ignore"):
        accuracies = np.bincount(labels, shares, len(names)) / counts
    order = np.argsort(accuracies, kind="stable")
    return tuple(ClassAccuracy(names[index], int(counts[index]), float(accuracies[index])) for index in order)


def near_majority(verdict: Verdict, labels: NDArray[np.intp]) -> Majority | None:
    """Give the largest class of the part that the choice was made on if its share is near the criterion."""
    counts = np.bincount(labels)
    largest, share = int(counts.argmax()), float(counts.max() / counts.sum())
    if verdict.chosen is None or verdict.chosen.mean - share >= _LITTLE:
        return None
    return Majority(verdict.setting.task.classes[largest], share)
