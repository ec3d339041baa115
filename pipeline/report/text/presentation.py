"""How a verdict reads as rows and cells: what the page and the Markdown summary share. Pure."""

import math
from pathlib import Path

from pipeline.report.analysis.speed import Reach
from pipeline.report.analysis.status import DIVERGED
from pipeline.report.analysis.verdict import RateVerdict, Verdict
from pipeline.report.text import wording

TEMPLATES = Path(__file__).parents[1] / "templates"


def ranked(verdict: Verdict) -> list[RateVerdict]:
    """Highest mean first, infeasible rates last."""
    return sorted(verdict.rates, key=lambda rate: (rate.status == DIVERGED, -rate.mean, rate.learning_rate))


def size(verdict: Verdict) -> str:
    """The study in one line."""
    return (
        f"{wording.counted(len(verdict.rates), 'rate')} × {wording.counted(len(verdict.seeds), 'seed')} × "
        f"{wording.counted(verdict.setting.epochs, 'epoch')}"
    )


def bounds(low: float, high: float) -> str:
    """An interval of shares; parts outside of 0 and 1 are not shown."""
    if math.isnan(low):
        return "–"
    return f"{wording.percent(max(low, 0.0)).removesuffix(' %')} to {wording.percent(min(high, 1.0))}"


def labels(rate: RateVerdict) -> str:
    """Health labels with the number of runs that have them: `stuck 3/3, oscillating 2/3`."""
    return ", ".join(f"{label} {count}/{len(rate.values)}" for label, count in rate.labels.items())


def reach_text(reach: Reach, epochs: int) -> str:
    """`4 (3–5)`, `12 or more (2 of 3 runs)`, or that it was not reached."""
    if not reach.reached:
        return f"not in {epochs}"
    if reach.reached < reach.runs:
        return f"{reach.low:g} or more ({reach.reached} of {reach.runs} runs)"
    if reach.low == reach.high:
        return f"{reach.median:g}"
    return f"{reach.median:g} ({reach.low:g}–{reach.high:g})"
