"""The verdict in sentences: what the page, the summary and verdict.json say."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.report.analysis import health
from pipeline.report.analysis.mcnemar import Discordance
from pipeline.report.analysis.status import DIVERGED, NOT_DISTINGUISHABLE, SCATTERED, UNKNOWN, WORSE
from pipeline.report.analysis.verdict import RateVerdict, Verdict
from pipeline.report.text import wording

_OTHERS = {"best_epoch": "the last epoch", "last_epoch": "the best epoch"}


class Statement(NamedTuple):
    """The verdict in sentences.

    Attributes:
        headline, detail: the verdict in a sentence or two.
        warnings: what a reader must know before using it.
        reasons: one sentence each.
    """

    headline: str
    detail: str
    warnings: tuple[str, ...]
    reasons: tuple[str, ...]


def state(verdict: Verdict, tested: Mapping[float, Discordance]) -> Statement:
    """Put the verdict into sentences.

    Args:
        tested: as `mcnemar.check_on_test` gives it.
    """
    return Statement(*_verdict(verdict), _warnings(verdict), tuple(_reasons(verdict, tested)))


def _verdict(verdict: Verdict) -> tuple[str, str]:
    if verdict.learning_rate is None:
        return (
            "No learning rate can be recommended.",
            "Every rate has runs that diverged: the grid lies too high.",
        )
    chosen = verdict.rate(verdict.learning_rate)
    name, value = wording.rate(chosen.learning_rate), wording.percent(chosen.mean)
    criterion = wording.criterion(verdict.criterion, verdict.setting.chosen_on)
    if len(verdict.seeds) < 2:
        return (
            f"Learning rate {name} leads, but with one seed no interval can be given.",
            f"It has the highest {criterion}, {value}; whether it is better than the others cannot be said.",
        )
    by_status = {
        status: [rate for rate in verdict.rates if verdict.shown(rate) == status]
        for status in (NOT_DISTINGUISHABLE, WORSE, SCATTERED, DIVERGED)
    }
    clauses = "; ".join(_clause(verdict, status, rates) for status, rates in by_status.items() if rates)
    detail = f"It reaches {value} {criterion}, {_basis(verdict, chosen)}."
    return f"Use learning rate {name}.", f"{detail} {clauses}." if clauses else detail


def _clause(verdict: Verdict, status: str, rates: Sequence[RateVerdict]) -> str:
    """Say of the rates with a status what it is."""
    names = wording.rates([rate.learning_rate for rate in rates])
    are = "is" if len(rates) == 1 else "are"
    if status == SCATTERED:
        gaps = wording.listed([_points(verdict.gap(rate)) for rate in rates])
        lie, its, it = ("lies", "its", "it") if len(rates) == 1 else ("lie", "their", "them")
        return f"{names} {lie} {gaps} points lower, but {its} seeds scatter too much to call {it} worse"
    if status == DIVERGED:
        return f"{names} diverged"
    return f"{names} {are} {status}{' from it' if status == NOT_DISTINGUISHABLE else ''}"


def _basis(verdict: Verdict, chosen: RateVerdict) -> str:
    """Say what the chosen rate's mean was taken over: a run that diverged is not in it."""
    runs = len(chosen.values)
    left = runs - chosen.diverged
    if left == 1:
        return f"the value of the only one of {runs} seeds that did not diverge: no interval can be given"
    seeds = f"{left} of {runs} seeds, the others diverged" if left < runs else f"{runs} seeds"
    return f"mean of {seeds} ({wording.share(verdict.confidence)} interval {wording.bounds(chosen)})"


def _warnings(verdict: Verdict) -> tuple[str, ...]:
    cases = (
        (
            verdict.setting.chosen_on == "test",
            "This choice was made on test data: with validation_size 0 the test images are the validation "
            "images. The accuracy is therefore too high an estimate, and no images are left to confirm it. "
            "Set data.validation_size in params.yaml to 5000, say, to choose on images of their own.",
        ),
        (
            len(verdict.seeds) < 2,
            "One seed only: no interval can be given, and no two rates can be distinguished. List more under "
            "train.seeds in params.yaml: seeds: [0, 1, 2].",
        ),
        (
            len(verdict.seeds) == 2,
            "Two seeds only: an interval from two runs is so wide that even rates far apart may not be "
            "distinguishable. List more under train.seeds in params.yaml: three at least, five to see small "
            "differences.",
        ),
        (
            verdict.setting.dataset == "digits",
            "The data set is digits, the small sample that scikit-learn ships: this says nothing about MNIST.",
        ),
    )
    return tuple(warning for applies, warning in cases if applies)


def _reasons(verdict: Verdict, tested: Mapping[float, Discordance]) -> list[str]:
    if verdict.learning_rate is None:
        return [_diverged(rate) for rate in verdict.rates]
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
        _diverged(rate) if rate.status == DIVERGED else f"{_against(verdict, rate)}. {_health(rate)}"
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
        differing = [rate for rate, test in tested.items() if test.p_value < 1 - verdict.confidence]
        reasons.append(
            f"On the test images, {name} reaches {wording.percent(chosen.test_mean)} after the last epoch and "
            f"differs from {wording.rates(differing) or 'no other rate'} (exact McNemar tests; they choose "
            "nothing)."
        )
    return reasons


def _lead(verdict: Verdict, chosen: RateVerdict) -> str:
    """Say what the choice rests on; a rate without its hard seeds can have a higher mean and yet be beaten."""
    if all(rate.mean <= chosen.mean for rate in verdict.rates if rate.status != DIVERGED):
        return "the highest mean"
    return "the highest mean of the rates that none is known to beat on their common seeds"


def _against(verdict: Verdict, rate: RateVerdict) -> str:
    """Say what speaks against a rate that is not chosen."""
    name, gap = wording.rate(rate.learning_rate), verdict.gap(rate)
    if rate.status == UNKNOWN:
        return f"{name} lies {_points(gap)} points lower"
    if rate.rival is not None and rate.status == WORSE:
        beaten = f"{wording.rate(rate.rival)} beats it by {_points(rate.rival_gap)}"
        if rate.rival == verdict.learning_rate:
            beaten = f"is worse by {_points(gap)} points"
        elif gap > 0:
            beaten = f"is worse by {_points(gap)} points, and {beaten}"
        else:  # on the seeds that it shares with the chosen one, if any, it is not
            beaten = f"is worse: {beaten} points"
        level = wording.share(verdict.confidence)
        return f"{name} {beaten} (at least {_points(rate.rival_at_least)} at {level} confidence)"
    alike = _clause(verdict, NOT_DISTINGUISHABLE, [rate])
    p_best = f"(p {_equal(rate.p_best)})"
    if math.isnan(rate.p_best) or math.isnan(gap):
        return f"{alike}: too few seeds have a run of both"
    if verdict.shown(rate) == SCATTERED:
        return f"{_clause(verdict, SCATTERED, [rate])} {p_best}"
    if _points(gap) == _points(0):
        return f"{alike}: the same mean {p_best}"
    if gap < 0:
        return f"{alike}: {_points(-gap)} points higher on the seeds that both have, which may be chance {p_best}"
    return (
        f"{alike}: {_points(gap)} points lower in the mean, but the seeds scatter too much to call it worse "
        f"{p_best}"
    )


def _points(share: float) -> str:
    return wording.points(share).lstrip("+")


def _equal(p_value: float) -> str:
    text = wording.p_value(p_value)
    return text if text.startswith("<") else f"= {text}"


def _diverged(rate: RateVerdict) -> str:
    runs = wording.counted(len(rate.values), "run")
    return f"{wording.rate(rate.learning_rate)} diverged in {rate.diverged} of {runs}."


def _health(rate: RateVerdict) -> str:
    beginning, runs = f"The runs of {wording.rate(rate.learning_rate)}", len(rate.values)
    if tuple(rate.labels) == (health.TOO_SHORT,):
        return f"{beginning} are too short to judge their curves."
    labels = [
        f"{label} ({count} of {runs})" if count < runs else label for label, count in rate.labels.items()
    ]
    return f"{beginning}: {wording.listed(labels)}."
