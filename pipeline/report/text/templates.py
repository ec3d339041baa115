"""The environment of the report's templates, with their filters."""

import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.report.analysis.speed import Reach
from pipeline.report.analysis.status import DIVERGED
from pipeline.report.analysis.verdict import RateVerdict, Verdict
from pipeline.report.text import range_test, wording

FOLDER = Path(__file__).parents[1] / "templates"
_WORDING = ("rate", "rates", "percent", "share", "points", "p_value", "number", "bounds", "counted")


def environment(**options: Any) -> Environment:
    """Set up the templates.

    Args:
        options: how values are escaped.
    """
    templates = Environment(
        loader=FileSystemLoader(FOLDER),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        **options,
    )
    templates.filters |= {name: getattr(wording, name) for name in _WORDING}
    templates.filters |= {"size": size, "ranked": ranked, "labels": labels, "reach": reach}
    templates.filters["span"] = range_test.span
    templates.tests["finite"] = math.isfinite
    return templates


def size(verdict: Verdict) -> str:
    """Describe the study in a line."""
    counts = ((len(verdict.rates), "rate"), (len(verdict.seeds), "seed"), (verdict.setting.epochs, "epoch"))
    return " × ".join(wording.counted(*count) for count in counts)


def ranked(verdict: Verdict) -> list[RateVerdict]:
    """Sort the rates: highest mean first, diverged ones last."""
    return sorted(verdict.rates, key=lambda rate: (rate.status == DIVERGED, -rate.mean, rate.learning_rate))


def labels(health: RateVerdict) -> str:
    """List health labels with the number of runs that have them: `stuck 3/3, oscillating 2/3`."""
    return ", ".join(f"{label} {count}/{len(health.values)}" for label, count in health.labels.items())


def reach(epochs: Reach, configured: int) -> str:
    """Write epochs to an accuracy: `4 (3–5)`, `12 or more (2 of 3 runs)`, or that it was not reached."""
    if not epochs.reached:
        return f"not in {configured}"
    if epochs.reached < epochs.runs:
        return f"{epochs.low:g} or more ({epochs.reached} of {epochs.runs} runs)"
    spread = "" if epochs.low == epochs.high else f" ({epochs.low:g}–{epochs.high:g})"
    return f"{epochs.median:g}{spread}"
