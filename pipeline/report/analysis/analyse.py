"""From the runs of a study to all numbers of its report."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core import runs as run_folders
from pipeline.core.runs import Run
from pipeline.params import Params, target_column
from pipeline.range_test.rules import Suggestion
from pipeline.report.analysis import comparison, grid, mcnemar, range_test, speed, verdict
from pipeline.report.analysis.grid import Advice
from pipeline.report.analysis.mcnemar import Discordance
from pipeline.report.analysis.range_test import Agreement
from pipeline.report.analysis.speed import Winner
from pipeline.report.analysis.statistics import Floats
from pipeline.report.analysis.verdict import Setting, Verdict


class Analysis(NamedTuple):
    """All numbers of a report.

    Attributes:
        table, curves: a row a run, and a row a point; see `comparison`.
        tested: by the rates that the chosen one was tested against on the test images.
        reach: by rate, epochs to each of `report.accuracy_targets`, shape (targets, seeds); NaN for never.
        range_test: by rule, its suggestion, and whether the study agrees; None without a range test.
    """

    table: pd.DataFrame
    curves: pd.DataFrame
    verdict: Verdict
    tested: dict[float, Discordance]
    advice: Advice
    reach: dict[float, Floats]
    winners: tuple[Winner, ...]
    range_test: dict[str, tuple[Suggestion, Agreement]] | None


def analyse(
    runs: Sequence[Run],
    params: Params,
    test_labels: NDArray[np.intp],
    validation_images: int,
    suggestions: Mapping[str, Suggestion] | None = None,
) -> Analysis:
    """Compute all that the report shows.

    Args:
        runs: by rate and seed, every rate with every seed.
        validation_images: how many images a validation accuracy is a share of.
        suggestions: what the range test suggests, by rule.
    """
    table = comparison.tabulate(runs, params.report)
    chosen_on = run_folders.held_out_part(params.data.validation_size)
    setting = Setting(params.data.dataset, params.train.epochs, chosen_on, validation_images)
    decision = verdict.decide(table, params.report, setting)
    rates = [rate.learning_rate for rate in decision.rates]
    right = {
        rate: np.stack([run.predictions == test_labels for run in runs if run.learning_rate == rate])
        for rate in rates
    }
    targets = [target_column(target) for target in params.report.accuracy_targets]
    agreements = {
        rule: (suggestion, range_test.judge(suggestion.median, decision))
        for rule, suggestion in (suggestions or {}).items()
    }
    return Analysis(
        table,
        comparison.curves(runs),
        decision,
        mcnemar.check_on_test(decision, right),
        grid.advise(decision, params.report.coarse_ratio),
        {rate: table.loc[table["learning_rate"] == rate, targets].to_numpy(np.float64).T for rate in rates},
        speed.winners(runs, params.report, 1 / validation_images),
        None if suggestions is None else agreements,
    )
