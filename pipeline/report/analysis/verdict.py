"""From the table of runs to the rate chosen, the rates that cannot be told from it, and the reasons. Pure.

The choice rests on the validation accuracies alone. Test accuracies are carried along to be reported;
nothing here decides by them. docs/report.md explains every number.
"""

import math
from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.params import ReportParams
from pipeline.report.analysis import comparison, health, statistics
from pipeline.report.analysis.status import (
    CHOSEN,
    DIVERGED,
    NOT_DISTINGUISHABLE,
    SCATTERED,
    UNKNOWN,
    WORSE,
    is_far,
)

Floats = NDArray[np.float64]


class Setting(NamedTuple):
    """What the runs were made of.

    Attributes:
        epochs: configured passes over the training images.
        chosen_on: `validation`, or `test` where the test images are the validation data.
        validation_images: how many images a validation accuracy is a share of.
    """

    dataset: str
    epochs: int
    chosen_on: str
    validation_images: int


class RateVerdict(NamedTuple):
    """What is known of one rate.

    Attributes:
        status: one of `pipeline.report.analysis.status`.
        values: the criterion by seed, NaN for a diverged run.
        mean, low, high: of the criterion over seeds; bounds NaN with fewer than two values.
        other_mean: the mean by the other criterion.
        test_mean: mean test accuracy over seeds.
        p_best: how compatible the values are with this rate being the best; see `statistics.challenge`.
        rival: the rate that speaks most against its being the best; None with one seed, or if there is none.
        rival_gap: how much that rate is above this one, in the mean.
        rival_at_least: and how much at the confidence; above 0 if this rate is worse.
        probability_best: share of bootstrap studies that it wins.
        diverged: number of runs that diverged.
        labels: how many runs carry which health label, in the order of `health.LABELS`.
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
    """Two feasible rates compared on their common seeds, `first` with the higher mean over these.

    Attributes:
        difference, low, high: first minus second, with its simultaneous interval.
        p_value: corrected for the number of pairs.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float


class Verdict(NamedTuple):
    """Attributes:

    learning_rate: the choice, see `statistics.candidates`; None if every rate is infeasible.
    indistinguishable: the other rates that may be the best; None if unknown (one seed) or without a choice.
    rates: by learning rate, rising.
    pairs: of feasible rates; empty with one seed.
    by_other_criterion: what the other criterion would choose.
    improving: most runs of the chosen rate were still improving at the end.
    """

    setting: Setting
    criterion: str
    confidence: float
    seeds: tuple[int, ...]
    learning_rate: float | None
    indistinguishable: tuple[float, ...] | None
    rates: tuple[RateVerdict, ...]
    pairs: tuple[Pair, ...]
    by_other_criterion: float | None
    improving: bool

    def rate(self, learning_rate: float) -> RateVerdict:
        return next(rate for rate in self.rates if rate.learning_rate == learning_rate)

    def gap(self, rate: RateVerdict) -> float:
        """How far a rate lies below the chosen one: on the seeds that both have, so it may lie above it.

        NaN where they have no seed in common.
        """
        if self.learning_rate is None:
            return math.nan
        chosen = self.rate(self.learning_rate)
        if not chosen.diverged and not rate.diverged:
            return chosen.mean - rate.mean
        return _mean(np.subtract(chosen.values, rate.values))

    def shown(self, rate: RateVerdict) -> str:
        """The status in a reader's words.

        A test of few seeds cannot call a rate worse whose seeds scatter, however low its mean. To say of
        that one "not told apart" would be true and absurd, so it has a word of its own.
        """
        if rate.status != NOT_DISTINGUISHABLE or self.learning_rate is None:
            return rate.status
        return SCATTERED if is_far(self.gap(rate)) else NOT_DISTINGUISHABLE

    @property
    def near(self) -> tuple[float, ...] | None:
        """`indistinguishable` without the rates that are too scattered to tell."""
        if self.indistinguishable is None:
            return None
        return tuple(
            rate for rate in self.indistinguishable if self.shown(self.rate(rate)) == NOT_DISTINGUISHABLE
        )


def decide(table: pd.DataFrame, params: ReportParams, setting: Setting) -> Verdict:
    """Choose.

    Args:
        table: as `comparison.compare` makes it, every rate with every seed.
    """
    column = comparison.CRITERIA[params.criterion]
    other_column = next(name for name in comparison.CRITERIA.values() if name != column)
    rates, values = comparison.matrix(table, column)
    other_values = comparison.matrix(table, other_column)[1]
    feasible = np.isnan(values).mean(axis=1) <= params.diverged_share
    resolution = 1 / setting.validation_images

    chosen, mask = _choose(values, feasible, resolution, params.confidence)
    several = values.shape[1] > 1
    places = np.flatnonzero(feasible)
    challenge = (
        statistics.challenge(values[feasible], resolution, params.confidence)
        if several and feasible.any()
        else None
    )
    probability = np.full(len(rates), np.nan)
    if chosen is not None:
        probability[feasible] = statistics.probability_best(values[feasible])
    other_chosen, _ = _choose(other_values, feasible, resolution, params.confidence)
    intervals = statistics.mean_intervals(values, resolution, params.confidence)
    tests = comparison.matrix(table, "test_accuracy")[1]
    verdicts = []
    for index, rate in enumerate(rates):
        own = table[table["learning_rate"] == rate]
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
                _mean(other_values[index]),
                _mean(tests[index]),
                *_challenged(index, rates, places, challenge),
                float(probability[index]),
                int(np.isnan(values[index]).sum()),
                _count_labels(own["health"]),
                float(own["roughness"].median()),
                float(own["rising_share"].median()),
            )
        )
    alike = tuple(verdict.learning_rate for verdict in verdicts if verdict.status == NOT_DISTINGUISHABLE)
    return Verdict(
        setting,
        params.criterion,
        params.confidence,
        tuple(sorted(int(seed) for seed in table["seed"].unique())),
        None if chosen is None else rates[chosen],
        alike if several and chosen is not None else None,
        tuple(verdicts),
        _pairs(rates, values, feasible, resolution, params.confidence) if several else (),
        None if other_chosen is None else rates[other_chosen],
        chosen is not None
        and 2 * verdicts[chosen].labels.get(health.IMPROVING, 0) > len(verdicts[chosen].values),
    )


def _choose(
    values: Floats, feasible: NDArray[np.bool_], resolution: float, confidence: float
) -> tuple[int | None, NDArray[np.bool_]]:
    if not feasible.any():
        return None, feasible
    return statistics.candidates(np.where(feasible[:, None], values, np.nan), resolution, confidence)


def _challenged(
    index: int,
    rates: tuple[float, ...],
    places: NDArray[np.intp],
    challenge: statistics.Challenge | None,
) -> tuple[float, float | None, float, float]:
    """p_best, rival, rival_gap and rival_at_least of the rate at `index`; `places` are the feasible ones."""
    if challenge is None or index not in places:
        return math.nan, None, math.nan, math.nan
    row = int(np.flatnonzero(places == index)[0])
    rival = rates[places[challenge.rival[row]]] if len(places) > 1 else None
    return (
        float(challenge.p_value[row]),
        rival,
        float(challenge.gap[row]),
        float(challenge.at_least[row]),
    )


def _pairs(
    rates: tuple[float, ...],
    values: Floats,
    feasible: NDArray[np.bool_],
    resolution: float,
    confidence: float,
) -> tuple[Pair, ...]:
    """Highest mean first, each compared with those below it.

    Where seeds are missing, the rate with the higher mean may have the lower one on the common seeds: such a
    pair is turned round.
    """
    order = np.flatnonzero(feasible)
    order = order[np.argsort(-np.nanmean(values[order], axis=1), kind="stable")] if len(order) else order
    found = statistics.compare_pairs(values[order], resolution, confidence)
    pairs = (
        Pair(rates[order[first]], rates[order[second]], *map(float, numbers))
        for first, second, *numbers in zip(*found, strict=True)
    )
    return tuple(_turn(pair) if round(pair.difference, 9) < 0 else pair for pair in pairs)


def _turn(pair: Pair) -> Pair:
    return Pair(pair.second, pair.first, -pair.difference, -pair.high, -pair.low, pair.p_value)


def _count_labels(cells: pd.Series) -> dict[str, int]:
    counts = Counter(label for cell in cells for label in str(cell).split("; "))
    return {label: counts[label] for label in (*health.LABELS, health.TOO_SHORT) if counts[label]}


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan
