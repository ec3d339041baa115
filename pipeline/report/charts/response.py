"""The response chart: what the verdict looks at, over the rate."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.analysis.status import (
    CHOSEN,
    DIVERGED,
    EQUIVALENT,
    NOT_DISTINGUISHABLE,
    UNKNOWN,
    WORSE,
)
from pipeline.report.analysis.verdict import RateVerdict, Verdict
from pipeline.report.charts import style

_MARKS = {
    CHOSEN: ("o", 9, style.ACCENT, style.ACCENT, "chosen"),
    EQUIVALENT: ("D", 6, style.ACCENT, style.ACCENT, "equivalent"),
    NOT_DISTINGUISHABLE: ("o", 8, style.PAPER, style.ACCENT, "not distinguishable"),
    WORSE: ("s", 8, style.PAPER, style.MUTED, "worse"),
    UNKNOWN: ("o", 8, style.PAPER, style.MUTED, "one seed"),
}
"""Of each status: marker, its size, face, edge; in the legend's words."""
_CROWDED, _MOST_LABELS = 6, 12
"""More rates than this, evenly spread, need turned labels, or smaller marks and no labels of their own."""


def response_chart(verdict: Verdict, title: str) -> Figure:
    """Draw the criterion over the rate, with intervals; every run a dot, diverged rates at the bottom."""
    rates = [rate.learning_rate for rate in verdict.rates]
    span, steps = math.log(max(rates) / min(rates)), np.diff(np.log(rates))
    # As many rates as would lie evenly spread where the nearest two lie.
    density = max(len(rates), 0.7 * span / steps.min()) if len(rates) > 1 else 1
    crowded = _CROWDED < density <= _MOST_LABELS
    figure, (axes,) = style.figure(height=340, top=56, bottom=62 if crowded else 42, right=22)
    margin = (max(rates) / min(rates)) ** 0.07 if len(rates) > 1 else 3.0
    style.rate_axis(axes, min(rates) / margin, max(rates) * margin)
    if density <= _MOST_LABELS:
        axes.set_xticks(rates)
    if crowded:
        axes.tick_params(axis="x", labelrotation=28, labelsize=9.5)
    drawn = [rate for rate in verdict.rates if rate.status != DIVERGED]
    _limit(axes, drawn, space=0.14 if len(drawn) < len(rates) else 0.04)
    means = [rate.mean for rate in drawn]
    axes.plot([rate.learning_rate for rate in drawn], means, color=style.GRID, linewidth=1.6, zorder=1)
    if len(plateau := verdict.plateau) > 1:
        axes.axvspan(plateau[0], plateau[-1], color=style.ACCENT, alpha=0.1, linewidth=0)
    scale = min(1.0, _MOST_LABELS / len(rates))
    low = axes.get_xaxis_transform()  # heights as shares of the axis
    for rate in verdict.rates:
        x = rate.learning_rate
        if rate.status != DIVERGED:
            _draw_rate(axes, rate, scale)
            continue
        axes.plot([x], [0.05], "x", color=style.BAD, markersize=9, markeredgewidth=2.2, transform=low)
        if scale == 1:
            axes.text(x, 0.087, "diverged", transform=low, ha="center", fontsize=10, color=style.BAD)
    _legend(axes, {rate.status for rate in verdict.rates})
    style.title(axes, title, pad=29)
    return figure


def _draw_rate(axes: Axes, rate: RateVerdict, scale: float) -> None:
    marker, size, face, edge, _ = _MARKS[rate.status]
    x = rate.learning_rate
    if not math.isnan(rate.low):
        bounds = np.clip([rate.low, rate.high], 0, 1)
        axes.plot([x, x], bounds, color=edge, linewidth=1.6, zorder=2)
        axes.plot([x, x], bounds, "_", color=edge, markersize=9 * scale, zorder=2)
    low, high = axes.get_xlim()
    beside = x * (high / low) ** (0.018 * scale)
    known = [value for value in rate.values if not math.isnan(value)]
    axes.plot([beside] * len(known), known, ".", color=style.INK, markersize=1 + 3 * scale, clip_on=False)
    size *= 1 if rate.status == CHOSEN else scale**0.5
    (mark,) = axes.plot([x], [rate.mean], marker, color=edge, markersize=size, zorder=3, clip_on=False)
    mark.set_markeredgewidth(0.6 + 1.2 * scale)
    mark.set_markerfacecolor(face)


def _limit(axes: Axes, drawn: list[RateVerdict], space: float) -> None:
    """Fit the vertical axis to the runs, with a share `space` of it free below them, and to the intervals.

    An interval of two or three seeds can be far longer than the differences worth seeing: it is cut off.
    """
    known = [value for rate in drawn for value in rate.values if not math.isnan(value)] or [0.1, 0.9]
    ends = [end for rate in drawn if not math.isnan(rate.low) for end in (rate.low, rate.high)] or known
    low, high = style.stretched([min(known), max(known)])
    reach = 0.6 * (high - low) + 0.05
    lowest, highest = style.stretched(np.clip([min(ends), max(ends)], 0, 1))
    low, high = max(lowest, low - reach) - 0.02, min(highest, high + reach) + 0.02
    low -= space * (high - low)
    bottom, top = style.unstretched([low, high + 0.04 * (high - low)])
    style.accuracy_axis(axes, max(0.0, bottom), min(top, 0.9999))


def _legend(axes: Axes, statuses: set[str]) -> None:
    for status, (marker, _, face, edge, text) in _MARKS.items():
        if status in statuses:
            axes.plot([], [], marker, color=edge, markerfacecolor=face, markeredgewidth=1.6, label=text)
    axes.plot([], [], ".", color=style.INK, markersize=5, label="a run")
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=5,
        frameon=False,
        fontsize=10,
        labelcolor=style.MUTED,
        handletextpad=0.2,
        columnspacing=0.9,
        borderaxespad=0,
    )
