"""The verdict in words: what the page, the summary and verdict.json say. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.report.analysis import health
from pipeline.report.analysis.mcnemar import Discordance
from pipeline.report.analysis.status import DIVERGED, NOT_DISTINGUISHABLE, SCATTERED, UNKNOWN, WORSE
from pipeline.report.analysis.verdict import RateVerdict, Verdict
from pipeline.report.text import wording

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


def explain(verdict: Verdict, tested: Mapping[float, Discordance]) -> Words:
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
    detail = f"It reaches {value} {criterion(verdict)}, {_basis(verdict, chosen)}."
    alike, worse, out = (
        [wording.rate(rate.learning_rate) for rate in verdict.rates if verdict.shown(rate) == status]
        for status in (NOT_DISTINGUISHABLE, WORSE, DIVERGED)
    )
    scattered = [rate for rate in verdict.rates if verdict.shown(rate) == SCATTERED]
    parts = []
    if alike:
        parts.append(f"{wording.listed(alike)} cannot be told from it")
    if worse:
        parts.append(f"{wording.listed(worse)} {'is' if len(worse) == 1 else 'are'} worse")
    if scattered:
        parts.append(_scattered(verdict, scattered))
    if out:
        parts.append(f"{wording.listed(out)} diverged")
    return f"Use learning rate {name}.", f"{detail} {'; '.join(parts)}." if parts else detail


def _basis(verdict: Verdict, chosen: RateVerdict) -> str:
    """What the chosen rate's mean was taken over: a run that diverged is not in it."""
    runs = len(chosen.values)
    left = runs - chosen.diverged
    if left == 1:
        return f"the value of the only one of {runs} seeds that did not diverge: no interval can be given"
    seeds = f"{left} of {runs} seeds, the others diverged" if left < runs else f"{runs} seeds"
    return f"mean of {seeds} ({_percent_interval(verdict, chosen)})"


def _scattered(verdict: Verdict, rates: Sequence[RateVerdict]) -> str:
    names = wording.listed([wording.rate(rate.learning_rate) for rate in rates])
    gaps = wording.listed([_points(verdict.gap(rate)) for rate in rates])
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


def _reasons(verdict: Verdict, tested: Mapping[float, Discordance]) -> tuple[str, ...]:
    if verdict.learning_rate is None:
        return tuple(_infeasible(rate) for rate in verdict.rates)
    chosen = verdict.rate(verdict.learning_rate)
    name = wording.rate(chosen.learning_rate)
    reasons = []
    if not math.isnan(chosen.probability_best):
        reasons.append(
            f"{name} has {_lead(verdict, chosen)}, and is the best in "
            f"{wording.percent(chosen.probability_best, 0)} of the studies that a bootstrap over the seeds "
            "makes of this one."
        )
    reasons += [
        _against(verdict, rate) if rate.status != DIVERGED else _infeasible(rate)
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


def _lead(verdict: Verdict, chosen: RateVerdict) -> str:
    """What the choice rests on; a rate without its hard seeds can have a higher mean and yet be beaten."""
    feasible = [rate for rate in verdict.rates if rate.status != DIVERGED]
    if all(rate.mean <= chosen.mean for rate in feasible):
        return "the highest mean"
    return "the highest mean of the rates that none is known to beat on their common seeds"


def _against(verdict: Verdict, rate: RateVerdict) -> str:
    name = wording.rate(rate.learning_rate)
    difference = verdict.gap(rate)
    gap = _points(difference)
    if rate.status == UNKNOWN:
        return f"{name} lies {gap} points lower. {_health(rate)}"
    if rate.status == WORSE and rate.rival is not None:
        beaten = f"{wording.rate(rate.rival)} beats it by {_points(rate.rival_gap)}"
        if rate.rival == verdict.learning_rate:
            beaten = f"is worse by {gap} points"
        elif difference > 0:
            beaten = f"is worse by {gap} points, and {beaten}"
        else:  # on the seeds that it shares with the chosen one, if any, it is not
            beaten = f"is worse: {beaten} points"
        return (
            f"{name} {beaten} (at least {_points(rate.rival_at_least)} at {_level(verdict)} "
            f"confidence). {_health(rate)}"
        )
    return f"{_alike(verdict, rate)}. {_health(rate)}"


def _alike(verdict: Verdict, rate: RateVerdict) -> str:
    difference, beginning = verdict.gap(rate), f"{wording.rate(rate.learning_rate)} cannot be told from it:"
    gap, p_best = _points(difference), f"(p {_equal(rate.p_best)})"
    if math.isnan(rate.p_best) or math.isnan(difference):
        return f"{beginning} too few seeds have a run of both"
    if verdict.shown(rate) == SCATTERED:
        return f"{_scattered(verdict, [rate])} {p_best}"
    if gap == _points(0):
        return f"{beginning} the same mean {p_best}"
    if difference < 0:
        return (
            f"{beginning} {_points(-difference)} points higher on the seeds that both have, which may be "
            f"chance {p_best}"
        )
    lower = f"{gap} points lower in the mean"
    return f"{beginning} {lower}, but the seeds scatter too much to call it worse {p_best}"


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
