"""All charts of a report, each with its name, its title, and in words what can be seen in it."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd

from pipeline.core import measures
from pipeline.core.runs import CURVES, Run
from pipeline.report.analysis.status import DIVERGED
from pipeline.report.analysis.verdict import RateVerdict, Verdict
from pipeline.report.charts import style, svg
from pipeline.report.charts.curves import Histories, curves_chart
from pipeline.report.charts.range_test import range_chart
from pipeline.report.charts.recipe import recipe_chart
from pipeline.report.charts.response import response_chart
from pipeline.report.inputs import RangeTest
from pipeline.report.text import wording

MOST_RATES = 6
"""Charts of a single rate that the page shows at once."""
MOST_LINES = 10
"""Of more rates, so many are drawn together, evenly spread, and the chosen one."""
MOST_LAYERS = 6
"""Charts of a measure that each layer has: of more layers, so many from first to last, evenly spread."""


_MOST_DESCRIBED = 12
"""Rates that a chart's description names: of more, so many from the lowest to the highest."""


class Chart(NamedTuple):
    """A chart and what the page says about it.

    Attributes:
        group: where the page shows it: `response`, `recipe`, `folded`, `overlay`, `diagnostic`, `range_test`.
        description: what can be seen, in words.
        svg: as `svg.to_text` makes it.
    """

    name: str
    group: str
    title: str
    description: str
    svg: str


def charts(verdict: Verdict, runs: Sequence[Run], ranged: RangeTest | None) -> Iterator[Chart]:
    """Draw all charts, one at a time, so that no two figures need be held at once."""
    mpl.rcdefaults()  # a user's matplotlibrc has no say
    held_out = verdict.setting.chosen_on
    criterion = wording.criterion(verdict.criterion, held_out)
    histories = {
        rate.learning_rate: [run.history for run in runs if run.learning_rate == rate.learning_rate]
        for rate in verdict.rates
    }
    overlaid = {rate: histories[rate] for rate in overlaid_rates(verdict)}
    heading = f"{criterion}, mean over seeds" if len(verdict.seeds) > 1 else criterion
    yield Chart(
        "response",
        "response",
        _capitalized(f"{criterion} over learning rate"),
        _describe_response(verdict),
        svg.to_text(response_chart(verdict, heading)),
    )
    for place, rate in enumerate(wording.ranked(verdict)):
        own = histories[rate.learning_rate]
        yield Chart(
            f"rate-{rate.learning_rate}",
            "recipe" if place < MOST_RATES else "folded",
            f"Learning rate {wording.rate(rate.learning_rate)}",
            _describe_rate(rate, own, held_out),
            svg.to_text(recipe_chart(own, held_out)),
        )
    for column in _drawn_columns(runs):
        _, title, log = measures.measure_of(column, held_out)
        yield Chart(
            re.sub(r"[^\w.-]", "-", column),  # a layer may have any name, but no id and no file may
            "overlay" if column in CURVES else "diagnostic",
            _capitalized(title),
            _describe_ends(overlaid, column),
            svg.to_text(curves_chart(overlaid, column, title, log=log)),
        )
    if ranged:
        low, high = ranged.rates[[0, -1]]
        marks = [f"{rule} at {suggestion.median:.2g}" for rule, suggestion in ranged.suggestions.items()]
        medians = np.nanmedian(ranged.losses[:, np.isfinite(ranged.losses).any(axis=0)], axis=0)
        yield Chart(
            "range_test",
            "range_test",
            "Range test: training loss while the rate rises",
            f"Smoothed loss over the rate, which rises from {low:.2g} to {high:.2g}; the lowest median over "
            f"the seeds is {medians.min():.3g}. Suggestions: {wording.listed(marks) or 'none'}.",
            svg.to_text(range_chart(ranged, verdict.learning_rate)),
        )


def css_variables(rates: int) -> dict[str, style.Colour]:
    """Name the colours of every role, and of so many rates, as the page's CSS variables."""
    return style.COLOURS | {f"rate-{index}": colour for index, colour in enumerate(style.rate_colours(rates))}


def overlaid_rates(verdict: Verdict) -> list[float]:
    """List the rates that are drawn together, rising."""
    chosen = set() if verdict.learning_rate is None else {verdict.learning_rate}
    return sorted({*wording.some(verdict.grid, MOST_LINES), *chosen})


def _drawn_columns(runs: Sequence[Run]) -> Iterator[str]:
    """List the measures that have a chart; of one that each layer has, a few layers from first to last."""
    columns = [column for column in map(str, runs[0].history) if all(column in run.history for run in runs)]
    for measure in measures.MEASURES:
        if measure.name.endswith("_"):
            layers = [column for column in columns if column.startswith(measure.name)]
            yield from wording.some(layers, MOST_LAYERS)
        elif measure.name in columns and measure.name != "accuracy":  # in each rate's own chart
            yield measure.name


def _capitalized(text: str) -> str:
    return text[0].upper() + text[1:]


def _describe_response(verdict: Verdict) -> str:
    parts = []
    for rate in wording.some(verdict.rates, _MOST_DESCRIBED):
        text = f"{wording.rate(rate.learning_rate)}: {wording.percent(rate.mean)}"
        if not math.isnan(rate.low):
            text += f", interval {wording.bounds(rate)}"
        if rate.status == DIVERGED:
            text += f", {rate.diverged} of {len(rate.values)} runs diverged"
        parts.append(f"{text}, {rate.status}")
    return "; ".join(parts) + "."


def _describe_ends(histories: Histories, column: str) -> str:
    ends = [f"{wording.rate(rate)}: {_median_end(runs, column)}" for rate, runs in histories.items()]
    return f"Median over seeds at the last epoch: {'; '.join(ends)}."


def _describe_rate(rate: RateVerdict, runs: Sequence[pd.DataFrame], held_out: str) -> str:
    health = f"Runs: {wording.labels([rate])}."
    if rate.diverged:
        return (
            f"{rate.diverged} of {wording.counted(len(runs), 'run')} diverged; a line ends where its values "
            f"became NaN or infinite. {health}"
        )
    median = f", median of {len(runs)} runs" if len(runs) > 1 else ""
    values = [f"{measures.measure_of(name, held_out).label} {_median_end(runs, name)}" for name in CURVES]
    return f"At the last epoch{median}: {', '.join(values)}. {health}"


def _median_end(runs: Sequence[pd.DataFrame], column: str) -> str:
    ends = np.array([run[column].iloc[-1] for run in runs], dtype=np.float64)
    median = float(np.median(ends)) if np.isfinite(ends).all() else math.nan
    return wording.percent(median) if column in ("accuracy", "val_accuracy") else wording.number(median)
