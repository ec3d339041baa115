"""From the table of runs to the rate chosen, the status of every other, and the numbers behind it.

The choice rests on the validation accuracies alone. Test accuracies are carried along to be reported;
nothing here decides by them. docs/report.md explains every number.
"""

import math
from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.report.analysis import comparison, health, statistics
from pipeline.report.analysis.setting import Setting
from pipeline.report.analysis.statistics import Floats
from pipeline.report.analysis.status import (
    CHOSEN,
    DIVERGED,
    NOT_DISTINGUISHABLE,
    SCATTERED,
    UNKNOWN,
    WORSE,
    is_far,
)


class RateVerdict(NamedTuple):
    """What is known of one rate.

    Attributes:
        status: a word of `pipeline.report.analysis.status`.
        values: the criterion by seed, NaN for a diverged run.
        mean, low, high: of these values; bounds NaN with fewer than two.
        other_mean, test_mean: means of the other criterion and of the test accuracy.
        p_best, rival, rival_gap, rival_at_least: see `statistics.Challenge`; no rival without a test.
        probability_best: share of bootstrap studies that it wins.
        diverged: number of runs that diverged.
        labels: how many runs carry which health label, worst first.
        roughness, rising_share: medians over seeds.
    """

    learning_rate: float
    status: str
    values: tuple[float, ...]
    mean: float
    low: float
    high: float
    other_mean: float
    test_mean: float
    p_best: float
    rival: float | None
    rival_gap: float
    rival_at_least: float
    probability_best: float
    diverged: int
    labels: dict[str, int]
    roughness: float
    rising_share: float


class Pair(NamedTuple):
    """Two feasible rates compared as in `statistics.Pairs`; `first` has the higher mean on common seeds."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float


class Verdict(NamedTuple):
    """The rate chosen, and what is known of all.

    Attributes:
        learning_rate: the choice, see `statistics.choose`; None if every rate diverged.
        indistinguishable: the other rates that may be the best; None with one seed, or without a choice.
        rates: by learning rate, rising.
        pairs: of feasible rates; empty with one seed.
        by_other_criterion: what would be chosen had every run kept the other epoch.
        improving: most runs of the chosen rate were still improving at the end.
    """

    setting: Setting
    seeds: tuple[int, ...]
    learning_rate: float | None
    indistinguishable: tuple[float, ...] | None
    rates: tuple[RateVerdict, ...]
    pairs: tuple[Pair, ...]
    by_other_criterion: float | None
    improving: bool

    @property
    def criterion(self) -> str:
        return self.setting.criterion

    @property
    def confidence(self) -> float:
        return self.setting.params.report.confidence

    def rate(self, learning_rate: float) -> RateVerdict:
        return next(rate for rate in self.rates if rate.learning_rate == learning_rate)

    @property
    def chosen(self) -> RateVerdict | None:
        return None if self.learning_rate is None else self.rate(self.learning_rate)

    def gap(self, rate: RateVerdict) -> float:
        """Measure how far a rate lies below the chosen one on their common seeds, NaN without any."""
        if self.chosen is None:
            return math.nan
        return float(statistics.mean(np.subtract(self.chosen.values, rate.values)))

    def shown(self, rate: RateVerdict) -> str:
        """Give the status as readers see it.

        A test of few seeds cannot call a rate worse whose seeds scatter, however low its mean. To call that
        rate "not distinguishable" would be true and absurd, so it has a word of its own.
        """
        far = rate.status == NOT_DISTINGUISHABLE and is_far(self.gap(rate))
        return SCATTERED if far else rate.status

    def shown_as(self, status: str) -> tuple[RateVerdict, ...]:
        """List the rates with this status, as readers see it."""
        return tuple(rate for rate in self.rates if self.shown(rate) == status)

    @property
    def near(self) -> tuple[float, ...] | None:
        """List `indistinguishable` without the rates that are too scattered to tell."""
        near = tuple(rate.learning_rate for rate in self.shown_as(NOT_DISTINGUISHABLE))
        return None if self.indistinguishable is None else near


def decide(table: pd.DataFrame, setting: Setting) -> Verdict:
    """Choose a rate, and find the status of every other; in the table, every rate has every seed."""
    params, resolution = setting.params.report, setting.resolution
    confidence, column = params.confidence, comparison.CRITERIA[setting.criterion]
    (other_column,) = set(comparison.CRITERIA.values()) - {column}
    rates, values = comparison.matrix(table, column)
    other_values = comparison.matrix(table, other_column)[1]
    left = comparison.without_diverged(values, params.diverged_share)
    feasible = np.isfinite(statistics.mean(left))
    several = values.shape[1] > 1
    chosen, mask, challenge = statistics.choose(left, resolution, confidence)
    other_left = np.where(feasible[:, None], other_values, np.nan)
    other_chosen = statistics.choose(other_left, resolution, confidence).best
    intervals = statistics.mean_intervals(values, resolution, confidence)
    probability = np.full(len(rates), np.nan)
    if chosen is not None:
        probability[feasible] = statistics.probability_best(left[feasible])
    verdicts = []
    for index, rate in enumerate(rates):
        own = table[table["learning_rate"] == rate]
        labels = Counter("; ".join(own["health"]).split("; "))
        if not feasible[index]:
            status = DIVERGED
        elif index == chosen:
            status = CHOSEN
        else:
            status = (NOT_DISTINGUISHABLE if mask[index] else WORSE) if several else UNKNOWN
        verdicts.append(
            RateVerdict(
                rate,
                status,
                tuple(values[index].tolist()),
                float(intervals.mean[index]),
                float(intervals.low[index]),
                float(intervals.high[index]),
                float(own[other_column].mean()),
                float(own["test_accuracy"].mean()),
                float(challenge.p_value[index]),
                None if np.isnan(challenge.gap[index]) else rates[challenge.rival[index]],
                float(challenge.gap[index]),
                float(challenge.at_least[index]),
                float(probability[index]),
                int(np.isnan(values[index]).sum()),
                {label: labels[label] for label in (*health.LABELS, health.TOO_SHORT) if labels[label]},
                float(own["roughness"].median()),
                float(own["rising_share"].median()),
            )
        )
    others = tuple(verdict.learning_rate for verdict in verdicts if verdict.status == NOT_DISTINGUISHABLE)
    return Verdict(
        setting,
        tuple(sorted(int(seed) for seed in table["seed"].unique())),
        None if chosen is None else rates[chosen],
        others if several and chosen is not None else None,
        tuple(verdicts),
        _pairs(rates, left, resolution, confidence) if several else (),
        None if other_chosen is None else rates[other_chosen],
        chosen is not None
        and 2 * verdicts[chosen].labels.get(health.IMPROVING, 0) > len(verdicts[chosen].values),
    )


def _pairs(
    rates: tuple[float, ...], values: Floats, resolution: float, confidence: float
) -> tuple[Pair, ...]:
    """Compare each feasible rate, highest mean first, with those below it.

    Where seeds are missing, the rate with the higher mean may have the lower one on the common seeds: such a
    pair is turned round.
    """
    means = statistics.mean(values)
    order = np.argsort(-means, kind="stable")[: int(np.isfinite(means).sum())]
    tests = statistics.compare_pairs(values[order], resolution, confidence)
    pairs = (
        Pair(rates[order[first]], rates[order[second]], *map(float, numbers))
        for first, second, *numbers in zip(*tests, strict=True)
    )
    return tuple(
        Pair(pair.second, pair.first, -pair.difference, -pair.high, -pair.low, pair.p_value)
        if round(pair.difference, 9) < 0
        else pair
        for pair in pairs
    )
