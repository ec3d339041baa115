"""The verdict in words: what the page, the summary and verdict.json say. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline import health, statistics, wording
from pipeline.standing import ALIKE, INFEASIBLE, SCATTERED, UNKNOWN, WORSE
from pipeline.verdict import RateVerdict, Verdict

_NOUNS = {"best_epoch": "best {} accuracy", "last_epoch": "final {} accuracy"}
_OTHERS = {"best_epoch": "the last epoch", "last_epoch": "the best epoch"}


class Words(NamedTuple):
    """Attributes:

    headline, detail: the verdict in a sentence or two.
    warnings: what a reader must know before using it.
    reasons: one sentence each.
    """

    headline: str
    detail: str
    warnings: tuple[str, ...]
    reasons: tuple[str, ...]


def criterion(verdict: Verdict) -> str:
    """What rates are compared by: `best validation accuracy`, say."""
    return _NOUNS[verdict.criterion].format(verdict.setting.chosen_on)


def explain(verdict: Verdict, tested: Mapping[float, statistics.Discordance]) -> Words:
    """Say it."""
    return Words(*_sentences(verdict), _warnings(verdict), _reasons(verdict, tested))


def _sentences(verdict: Verdict) -> tuple[str, str]:
    if verdict.learning_rate is None:
        return (
            "No learning rate can be recommended.",
            "Every rate has runs that diverged: the grid lies too high.",
        )
    chosen = verdict.rate(verdict.learning_rate)
    name, value = wording.rate(chosen.learning_rate), wording.percent(chosen.mean)
    if len(verdict.seeds) < 2:
        return (
            f"Learning rate {name} leads, but with one seed no interval can be given.",
            f"It has the highest {criterion(verdict)}, {value}; whether it is better than the others cannot "
            "be said.",
        )
    detail = (
        f"It reaches {value} {criterion(verdict)}, mean of {len(verdict.seeds)} seeds "
        f"({_percent_interval(verdict, chosen)})."
    )
    alike, worse, out = (
        [wording.rate(rate.learning_rate) for rate in verdict.rates if verdict.shown(rate) == standing]
        for standing in (ALIKE, WORSE, INFEASIBLE)
    )
    scattered = [rate for rate in verdict.rates if verdict.shown(rate) == SCATTERED]
    parts = []
    if alike:
        parts.append(f"{wording.listed(alike)} cannot be told from it")
    if worse:
        parts.append(f"{wording.listed(worse)} {'is' if len(worse) == 1 else 'are'} worse")
    if scattered:
        parts.append(_scattered(chosen, scattered))
    if out:
        parts.append(f"{wording.listed(out)} diverged")
    return f"Use learning rate {name}.", f"{detail} {'; '.join(parts)}." if parts else detail


def _scattered(chosen: RateVerdict, rates: Sequence[RateVerdict]) -> str:
    names = wording.listed([wording.rate(rate.learning_rate) for rate in rates])
    gaps = wording.listed([_points(chosen.mean - rate.mean) for rate in rates])
    if len(rates) == 1:
        return f"{names} lies {gaps} points lower, but its seeds scatter too much to call it worse"
    return f"{names} lie {gaps} points lower, but their seeds scatter too much to call them worse"


def _warnings(verdict: Verdict) -> tuple[str, ...]:
    warnings = []
    if verdict.setting.chosen_on == "test":
        warnings.append(
            "This choice was made on test data: with validation_size 0 the test images are the validation "
            "images. The accuracy is therefore too high an estimate, and no images are left to confirm it. "
            "Set data.validation_size in params.yaml to 5000, say, to choose on images of their own."
        )
    if len(verdict.seeds) < 2:
        warnings.append(
            "One seed only: no interval can be given, and no rate can be told from another. List more under "
            "train.seeds in params.yaml: seeds: [0, 1, 2]."
        )
    if len(verdict.seeds) == 2:
        warnings.append(
            "Two seeds only: an interval from two runs is so wide that rates far apart may not be told. "
            "List more under train.seeds in params.yaml: three at least, five to see small differences."
        )
    if verdict.setting.dataset == "digits":
        warnings.append(
            "The data set is digits, the small sample that scikit-learn ships: this says nothing about MNIST."
        )
    return tuple(warnings)


def _reasons(verdict: Verdict, tested: Mapping[float, statistics.Discordance]) -> tuple[str, ...]:
    if verdict.learning_rate is None:
        return tuple(_infeasible(rate) for rate in verdict.rates)
    chosen = verdict.rate(verdict.learning_rate)
    name = wording.rate(chosen.learning_rate)
    reasons = []
    if not math.isnan(chosen.probability_best):
        reasons.append(
            f"{name} has the highest mean, and is the best in {wording.percent(chosen.probability_best, 0)} "
            "of the studies that a bootstrap over the seeds makes of this one."
        )
    reasons += [
        _against(verdict, chosen, rate) if rate.standing != INFEASIBLE else _infeasible(rate)
        for rate in sorted(verdict.rates, key=lambda rate: (math.isnan(rate.mean), -rate.mean))
        if rate is not chosen
    ]
    reasons.append(_health(chosen))
    if verdict.by_other_criterion is not None:
        same = verdict.by_other_criterion == chosen.learning_rate
        reasons.append(
            f"Judged by {_OTHERS[verdict.criterion]} instead, the choice would be "
            f"{'the same' if same else wording.rate(verdict.by_other_criterion)}."
        )
    if tested:
        told = [wording.rate(rate) for rate, one in tested.items() if one.p_value < 1 - verdict.confidence]
        told_text = f"differs from {wording.listed(told)}" if told else "differs from no other rate"
        first = f"reaches {wording.percent(chosen.test_mean)} after the last epoch and {told_text}"
        reasons.append(f"On the test images, {name} {first} (exact McNemar tests; they choose nothing).")
    return tuple(reasons)


def _against(verdict: Verdict, chosen: RateVerdict, rate: RateVerdict) -> str:
    name = wording.rate(rate.learning_rate)
    gap = _points(chosen.mean - rate.mean)
    if rate.standing == UNKNOWN:
        return f"{name} lies {gap} points lower. {_health(rate)}"
    if rate.standing == WORSE and rate.rival is not None:
        beaten = (
            f"by {gap} points"
            if rate.rival == chosen.learning_rate
            else f"by {gap} points, and {wording.rate(rate.rival)} beats it by {_points(rate.rival_gap)}"
        )
        return (
            f"{name} is worse {beaten} (at least {_points(rate.rival_at_least)} at {_level(verdict)} "
            f"confidence). {_health(rate)}"
        )
    if verdict.shown(rate) == SCATTERED:
        return f"{_scattered(chosen, [rate])} (p {_equal(rate.p_best)}). {_health(rate)}"
    if gap == _points(0):
        return f"{name} cannot be told from it: the same mean (p {_equal(rate.p_best)}). {_health(rate)}"
    return (
        f"{name} cannot be told from it: {gap} points lower in the mean, but the seeds scatter too much to "
        f"call it worse (p {_equal(rate.p_best)}). {_health(rate)}"
    )


def _points(share: float) -> str:
    return wording.points(share).lstrip("+")


def _equal(p_value: float) -> str:
    text = wording.p_value(p_value)
    return text if text.startswith("<") else f"= {text}"


def _infeasible(rate: RateVerdict) -> str:
    return (
        f"{wording.rate(rate.learning_rate)} is infeasible: {rate.diverged} of "
        f"{wording.counted(len(rate.values), 'run')} diverged."
    )


def _health(rate: RateVerdict) -> str:
    runs = len(rate.values)
    labels = [
        f"{label} ({count} of {runs})" if count < runs else label for label, count in rate.labels.items()
    ]
    if tuple(rate.labels) == (health.TOO_SHORT,):
        return f"The runs of {wording.rate(rate.learning_rate)} are too short to judge their curves."
    return f"The runs of {wording.rate(rate.learning_rate)}: {wording.listed(labels)}."


def _percent_interval(verdict: Verdict, rate: RateVerdict) -> str:
    low, high = wording.percent(max(rate.low, 0.0)), wording.percent(min(rate.high, 1.0))
    return f"{_level(verdict)} interval {low.removesuffix(' %')} to {high}"


def _level(verdict: Verdict) -> str:
    return f"{100 * verdict.confidence:g} %"
