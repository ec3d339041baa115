"""All rates over the epochs: one line a rate, before its single runs."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from pipeline.report.charts import style
from pipeline.report.text import wording

_CALM = 60
"""Epochs up to which lines are dashed: a dash on hundreds of epochs' noise shows as more noise."""
_DEEPEST = 1e-8
"""Values below this share of the highest are not shown: a vanishing gradient would take the whole axis."""

Histories = Mapping[float, Sequence[pd.DataFrame]]
"""The histories of each rate's runs."""


def curves_chart(histories: Histories, column: str, title: str, *, log: bool) -> Figure:
    """Draw one column of all rates: the median over seeds, and the runs behind it."""
    longest = max(len(wording.rate(rate)) for rate in histories)
    figure, (axes,) = style.figure(right=max(64, 22 + 7 * longest))
    colours = style.rate_colours(len(histories))
    ends, low, high = [], np.inf, -np.inf
    last = max(len(run) for runs in histories.values() for run in runs)
    for index, (rate, runs) in enumerate(sorted(histories.items())):
        finite = style.by_epoch(runs, column).dropna(how="all")
        values = finite.where(finite > 0).dropna(how="all") if log else finite
        if values.empty:
            continue
        middle = values.median(axis=1)
        low, high = min(low, float(np.nanmin(values))), max(high, float(np.nanmax(values)))
        colour = colours[index].light
        if len(runs) > 1:
            axes.plot(values, color=colour, linewidth=0.7, alpha=0.35)
        dash = style.DASHES[index % len(style.DASHES)] if last <= _CALM else "-"
        marker = "." if len(values) == 1 else ""
        axes.plot(middle, color=colour, linestyle=dash, linewidth=1.7, marker=marker)
        if finite.index[-1] < last:  # diverged there
            axes.plot(middle[-1:], "x", color=colour, markersize=7, markeredgewidth=2)
        ends.append((middle.iloc[-1], wording.rate(rate), colour))
    style.title(axes, title)
    style.epochs_axis(axes, last)
    if column == "val_accuracy" and ends:
        style.accuracy_axis(axes, max(0.0, low - 0.1 * (1 - low)), min(0.9999, high + 0.15 * (1 - high)))
    elif log and ends:
        low, high = max(low, high * _DEEPEST) / 1.25, high * 1.25
        axes.set_yscale("log")
        axes.set_ylim(low, high)
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1,), numticks=7))
        axes.yaxis.set_major_formatter("{x:g}")
    style.end_labels(axes, ends)
    return figure
