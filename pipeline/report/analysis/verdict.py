"""From the table of runs to the rate chosen, the status of every other, and the numbers behind it.

The choice rests on the validation accuracies alone. Test accuracies are carried along to be reported;
nothing here decides by them, unless the test examples are the validation examples. docs/report.md explains
every number.
"""

import bisect
import itertools
import math
from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.report.analysis import comparison, health, statistics
from pipeline.report.analysis.setting import Setting
from pipeline.report.analysis.status import (
    CHOSEN,
    DIVERGED,
    EQUIVALENT,
    NOT_DISTINGUISHABLE,
    UNKNOWN,
    WORSE,
)


class RateVerdict(NamedTuple):
    """What is known of one rate.

    Attributes:
        status: a word of `pipeline.report.analysis.status`.
        values: the criterion by seed, NaN for a diverged run.
        mean, low, high: of these values; bounds NaN with fewer than two.
        dependable: what a new run can be counted on to reach, see `statistics.Choice`.
        other_mean, test_mean: means of the other criterion and of the test accuracy.
        p_best, rival, rival_gap, rival_at_least, at_most: see `statistics.Challenge`; no rival untested, and
            `at_most` no more than what accuracies above the interval leave.
        seeds_needed: how many seeds would tell it from the best, or show that it is equivalent; 0 where no
            planned look would, or where that is known.
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
    dependable: float
    other_mean: float
    test_mean: float
    p_best: float
    rival: float | None
    rival_gap: float
    rival_at_least: float
    at_most: float
    seeds_needed: int
    diverged: int
    labels: dict[str, int]
    roughness: float
    rising_share: float


class Verdict(NamedTuple):
    """The rate chosen, and what is known of all.

    Attributes:
        learning_rate: the choice, see `statistics.choose`; None if every rate diverged.
        settled: see `statistics.Choice`.
        look: the number of the planned look, from 1, that so many seeds make.
        rates: by learning rate, rising.
        by_other_criterion: what would be chosen had every run kept the other epoch.
        improving: most runs of the chosen rate were still improving at the end.
    """

    setting: Setting
    seeds: tuple[int, ...]
    learning_rate: float | None
    settled: bool
    look: int
    rates: tuple[RateVerdict, ...]
    by_other_criterion: float | None
    improving: bool

    @property
    def criterion(self) -> str:
        return self.setting.criterion

    @property
    def confidence(self) -> float:
        return self.setting.params.report.confidence

    @property
    def grid(self) -> tuple[float, ...]:
        return tuple(rate.learning_rate for rate in self.rates)

    def rate(self, learning_rate: float) -> RateVerdict:
        return next(rate for rate in self.rates if rate.learning_rate == learning_rate)

    @property
    def chosen(self) -> RateVerdict | None:
        return None if self.learning_rate is None else self.rate(self.learning_rate)

    def having(self, status: str) -> tuple[RateVerdict, ...]:
        """List the rates with this status."""
        return tuple(rate for rate in self.rates if rate.status == status)

    @property
    def comparable(self) -> bool:
        """Say whether rates can be compared: one is chosen, and there is more than one seed."""
        return self.chosen is not None and len(self.seeds) > 1

    @property
    def in_question(self) -> tuple[float, ...]:
        """List the rates that the choice was made from, itself among them, and the equivalent ones."""
        return tuple(
            rate.learning_rate
            for rate in self.rates
            if math.isfinite(rate.dependable) or rate.status == EQUIVALENT
        )

    @property
    def plateau(self) -> tuple[float, ...]:
        """List the chosen rate and those beside it, without a gap, that are equivalent."""
        groups = itertools.groupby(self.rates, lambda rate: rate.status in (CHOSEN, EQUIVALENT))
        connected = [[rate.learning_rate for rate in group] for good, group in groups if good]
        return tuple(next((group for group in connected if self.learning_rate in group), ()))

    @property
    def highest(self) -> RateVerdict:
        """Give the rate with the highest mean of those that did not diverge, if there is any."""
        return max(
            self.rates,
            key=lambda rate: (
                rate.status != DIVERGED,
                round(np.nan_to_num(rate.mean), 12),  # the order of the seeds changes the last bit
                rate.status == CHOSEN,
            ),
        )


def decide(table: pd.DataFrame, setting: Setting) -> Verdict:
    """Choose a rate, and find the status of every other; in the table, every rate has every seed."""
    params, resolution = setting.params.report, setting.resolution
    column = comparison.CRITERIA[setting.criterion]
    rule = resolution, params.confidence, params.margin
    (other_column,) = set(comparison.CRITERIA.values()) - {column}
    rates, values = comparison.matrix(table, column)
    other_values = comparison.matrix(table, other_column)[1]
    left = comparison.without_diverged(values, params.diverged_share)
    feasible = np.isfinite(statistics.mean(left))
    several = values.shape[1] > 1
    choice = statistics.choose(left, *rule)
    chosen, challenge = choice.best, choice.challenge
    other_left = np.where(feasible[:, None], other_values, np.nan)
    other_chosen = statistics.choose(other_left, *rule).best
    intervals = statistics.mean_intervals(values, resolution, params.confidence)
    # Of a rate that scatters widely the tests allow any mean; but no accuracy is above 1.
    highest = np.maximum(1 - intervals.low, params.margin)
    at_most = np.where(challenge.at_most < np.inf, np.fmin(challenge.at_most, highest), np.inf)
    undecided = {*np.flatnonzero(choice.mask & ~choice.equivalent)}
    verdicts = []
    for index, rate in enumerate(rates):
        own = table[table["learning_rate"] == rate]
        labels = Counter("; ".join(own["health"]).split("; "))
        if not feasible[index]:
            status = DIVERGED
        elif index == chosen:
            status = CHOSEN
        else:
            status = UNKNOWN
            if several:
                status = EQUIVALENT if choice.equivalent[index] else NOT_DISTINGUISHABLE
                status = status if choice.mask[index] else WORSE
        verdicts.append(
            RateVerdict(
                rate,
                status,
                tuple(values[index].tolist()),
                float(intervals.mean[index]),
                float(intervals.low[index]),
                float(intervals.high[index]),
                float(choice.dependable[index]),
                float(own[other_column].mean()),
                float(own["test_accuracy"].mean()),
                float(challenge.p_value[index]),
                None if np.isnan(challenge.gap[index]) else rates[challenge.rival[index]],
                float(challenge.gap[index]),
                float(challenge.at_least[index]),
                float(at_most[index]),
                int(challenge.seeds[index]) if index in undecided else 0,
                int(np.isnan(values[index]).sum()),
                {label: labels[label] for label in (*health.LABELS, health.TOO_SHORT) if labels[label]},
                float(own["roughness"].median()),
                float(own["rising_share"].median()),
            )
        )
    seeds = tuple(sorted(int(seed) for seed in table["seed"].unique()))
    return Verdict(
        setting,
        seeds,
        None if chosen is None else rates[chosen],
        choice.settled,
        min(bisect.bisect_left(statistics.LOOKS, len(seeds)) + 1, len(statistics.LOOKS)),
        tuple(verdicts),
        None if other_chosen is None else rates[other_chosen],
        chosen is not None
        and 2 * verdicts[chosen].labels.get(health.IMPROVING, 0) > len(verdicts[chosen].values),
    )
