"""What a careful person would do next with a study: its verdict and advice in, a step out. Pure."""

from typing import NamedTuple

from pipeline.report.analysis.grid import Advice
from pipeline.report.analysis.status import DIVERGED, WORSE
from pipeline.report.analysis.verdict import Verdict


class Step(NamedTuple):
    """What params.yaml should list next.

    Attributes:
        advice: the part of the report's advice that is followed, the reason for the step.
        learning_rates: falling.
        dropped: the rates that get no more runs.
    """

    advice: Advice
    learning_rates: tuple[float, ...]
    seeds: tuple[int, ...]
    epochs: int
    dropped: tuple[float, ...]


def next_step(verdict: Verdict, advice: Advice) -> Step | None:
    """Follow the advice from what costs least: first rates, while seeds are few, then epochs, then seeds.

    More epochs train every run again, and more seeds are for every rate: before either, rates are dropped.

    Returns:
        None where the advice leaves nothing to do.
    """
    seeds, epochs = verdict.seeds, verdict.setting.params.train.epochs
    if advice.rates:
        return Step(advice._replace(seeds=None, epochs=None), advice.rates, seeds, epochs, ())
    lost = hopeless(verdict)
    rates = tuple(rate for rate in reversed(verdict.grid) if rate not in lost)
    nothing = Advice((), (), None, None, None)
    if advice.epochs:
        return Step(nothing._replace(epochs=advice.epochs), rates, seeds, advice.epochs, lost)
    if advice.seeds:
        return Step(nothing._replace(seeds=advice.seeds), rates, advice.seeds, epochs, lost)
    return None


def hopeless(verdict: Verdict) -> tuple[float, ...]:
    """List the rates that are worse, or diverged, and whose neighbours are as well.

    A neighbour of a rate that may be the best stays: it shows that the grid reaches beyond the good rates.
    Without it, the report would ask for just this rate.
    """
    bad = [True, *(rate.status in (WORSE, DIVERGED) for rate in verdict.rates), True]
    return tuple(rate for index, rate in enumerate(verdict.grid, start=1) if all(bad[index - 1 : index + 2]))
