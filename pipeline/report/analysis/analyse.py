"""From the runs of a study to all numbers of its report."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.runs import Run
from pipeline.params import target_column
from pipeline.range_test.rules import Suggestion
from pipeline.report.analysis import classes, comparison, grid, mcnemar, range_test, speed, verdict
from pipeline.report.analysis.classes import ClassAccuracy, Majority
from pipeline.report.analysis.grid import Advice
from pipeline.report.analysis.mcnemar import Discordance
from pipeline.report.analysis.range_test import Agreement
from pipeline.report.analysis.setting import Setting
from pipeline.report.analysis.speed import Winner
from pipeline.report.analysis.statistics import Floats
from pipeline.report.analysis.verdict import Verdict


class Analysis(NamedTuple):
    """All numbers of a report.

    Attributes:
        table, curves: a row a run, and a row a point; see `comparison`.
        tested: by the rates that the chosen one was tested against on the test examples.
        classes: the chosen rate's test accuracy by class, lowest first.
        majority: the largest class, where always answering it would reach almost the criterion.
        reach: by rate, epochs to each of `report.accuracy_targets`, shape (targets, seeds); NaN for never.
        range_test: by rule, its suggestion, and whether the study agrees; None without a range test.
    """

    table: pd.DataFrame
    curves: pd.DataFrame
    verdict: Verdict
    tested: dict[float, Discordance]
    classes: tuple[ClassAccuracy, ...]
    majority: Majority | None
    advice: Advice
    reach: dict[float, Floats]
    winners: tuple[Winner, ...]
    range_test: dict[str, tuple[Suggestion, Agreement]] | None


def analyse(
    runs: Sequence[Run],
    setting: Setting,
    labels: Mapping[str, NDArray[np.intp]],
    suggestions: Mapping[str, Suggestion] | None = None,
) -> Analysis:
    """Compute all that the report shows.

    Args:
        runs: by rate and seed, every rate with every seed.
        labels: of the parts `test` and `setting.chosen_on`.
        suggestions: what the range test suggests, by rule.
    """
    params = setting.params.report
    table = comparison.tabulate(runs, setting)
    decision = verdict.decide(table, setting)
    right = {
        rate: np.stack([run.predictions == labels["test"] for run in runs if run.learning_rate == rate])
        for rate in decision.grid
    }
    targets = [target_column(target) for target in params.accuracy_targets]
    agreements = {
        rule: (suggestion, range_test.judge(suggestion.median, decision))
        for rule, suggestion in (suggestions or {}).items()
    }
    return Analysis(
        table,
        comparison.curves(runs),
        decision,
        mcnemar.check_on_test(decision, right),
        classes.tested_by_class(decision, right, labels["test"]),
        classes.near_majority(decision, labels[setting.chosen_on]),
        grid.advise(decision, params.coarse_ratio),
        {
            rate: table.loc[table["learning_rate"] == rate, targets].to_numpy(np.float64).T
            for rate in decision.grid
        },
        speed.winners(runs, setting),
        None if suggestions is None else agreements,
    )
