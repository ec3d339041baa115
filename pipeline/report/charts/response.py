"""The response chart: what the verdict looks at, over the rate."""

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from pipeline.report.analysis.status import CHOSEN, DIVERGED, NOT_DISTINGUISHABLE, SCATTERED, UNKNOWN, WORSE
from pipeline.report.charts import style
from pipeline.report.text import wording

if TYPE_CHECKING:
    from pipeline.report.analysis.verdict import RateVerdict, Verdict

_MARKS = {
    CHOSEN: ("o", style.ACCENT, style.ACCENT, "chosen"),
    NOT_DISTINGUISHABLE: ("o", style.PAPER, style.ACCENT, "not told from it"),
    SCATTERED: ("D", style.PAPER, style.MUTED, "too scattered"),
    WORSE: ("s", style.PAPER, style.MUTED, "worse"),
    UNKNOWN: ("o", style.PAPER, style.MUTED, "one seed"),
}


_CROWDED = 6
"""More rates than this need their labels turned."""


def response_chart(verdict: "Verdict", title: str) -> Figure:
    """Criterion over rate (logarithmic), with intervals; every run a dot; infeasible rates at the bottom."""
    crowded = len(verdict.rates) > _CROWDED
    margins = style.Margins(top=56, bottom=62 if crowded else 42, right=22)
    figure, (axes,) = style.figure(height=340, margins=margins)
    feasible = [rate for rate in verdict.rates if rate.status != DIVERGED]
    _limits(axes, verdict, feasible)
    bottom, top = axes.get_ylim()
    axes.plot(
        [rate.learning_rate for rate in feasible],
        [float(style.stretched(rate.mean)) for rate in feasible],
        color=style.GRID,
        linewidth=1.6,
        zorder=1,
    )
    for rate in feasible:
        _draw_rate(axes, rate, verdict.shown(rate))
    for rate in verdict.rates:
        if rate.status == DIVERGED:
            place = bottom + 0.05 * (top - bottom)
            axes.plot([rate.learning_rate], [place], "x", color=style.BAD, markersize=9, markeredgewidth=2.2)
            axes.annotate(
                "diverged",
                (rate.learning_rate, place),
                xytext=(0, 9),
                textcoords="offset points",
                ha="center",
                fontsize=10,
                color=style.BAD,
            )
    _legend(axes, {verdict.shown(rate) for rate in verdict.rates})
    style.title(axes, title, pad=29)
    return figure


def _draw_rate(axes: Axes, rate: "RateVerdict", status: str) -> None:
    marker, face, edge, _ = _MARKS[status]
    known = [value for value in rate.values if not math.isnan(value)]
    if not math.isnan(rate.low):
        bounds = style.stretched(np.clip([rate.low, rate.high], 0, 1))
        axes.plot([rate.learning_rate] * 2, bounds, color=edge, linewidth=1.6, zorder=2)
        axes.plot([rate.learning_rate] * 2, bounds, "_", color=edge, markersize=9, zorder=2)
    low, high = axes.get_xlim()
    beside = rate.learning_rate * (high / low) ** 0.018
    axes.plot([beside] * len(known), style.stretched(np.array(known)), ".", color=style.INK, markersize=4)
    axes.plot(
        [rate.learning_rate],
        [float(style.stretched(rate.mean))],
        marker,
        markersize=9 if status == CHOSEN else 7 if status == SCATTERED else 8,
        markerfacecolor=face,
        markeredgecolor=edge,
        markeredgewidth=1.8,
        zorder=3,
    )


def _limits(axes: Axes, verdict: "Verdict", feasible: "list[RateVerdict]") -> None:
    rates = [rate.learning_rate for rate in verdict.rates]
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    margin = (max(rates) / min(rates)) ** 0.07 if len(rates) > 1 else 3.0
    axes.set_xlim(min(rates) / margin, max(rates) * margin)
    axes.set_xticks(rates, [wording.rate(rate) for rate in rates])
    if len(rates) > _CROWDED:
        axes.tick_params(axis="x", labelrotation=28, labelsize=9.5)
    axes.set_xlabel("learning rate", fontsize=11.5, color=style.MUTED)
    known = [value for rate in feasible for value in rate.values if not math.isnan(value)] or [0.1, 0.9]
    low, high = (float(value) for value in style.stretched(np.array([min(known), max(known)])))
    # An interval of two or three seeds can be far longer than the differences worth seeing.
    ends = [end for rate in feasible if not math.isnan(rate.low) for end in (rate.low, rate.high)] or known
    reach = 0.6 * (high - low) + 0.05
    low = max(float(style.stretched(max(min(ends), 0.0))), low - reach) - 0.02
    high = min(float(style.stretched(min(max(ends), 1.0))), high + reach) + 0.02
    space = 0.14 if len(feasible) < len(rates) else 0.04
    low -= space * (high - low)
    style.accuracy_axis(axes, max(0.0, 1 - 10**-low), min(1 - 10 ** -(high + 0.04 * (high - low)), 0.9999))


def _legend(axes: Axes, statuses: set[str]) -> None:
    for status, (marker, face, edge, text) in _MARKS.items():
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
