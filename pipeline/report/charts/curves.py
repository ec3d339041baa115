"""All rates over the epochs: one line a rate, its spread over seeds as a band."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.charts import style
from pipeline.report.text import wording

_CALM = 60
"""Epochs up to which lines are dashed: a dash on hundreds of epochs' noise shows as more noise."""
_DEEPEST = 1e-8
"""Values below this share of the highest are not shown: a vanishing gradient would take the whole axis."""

Histories = Mapping[float, Sequence[pd.DataFrame]]
"""The histories of each rate's runs."""


def overlay_chart(histories: Histories, column: str, title: str) -> Figure:
    """One column of all rates: losses on a logarithmic axis, accuracies on one stretched towards 100 %.

    The line is the median over seeds, the band goes from the lowest to the highest.
    """
    return _chart(histories, column, title, stretch=column.endswith("accuracy"), log=True)


def diagnostic_chart(histories: Histories, column: str, title: str, *, log: bool) -> Figure:
    """A diagnostic of all rates, drawn alike."""
    return _chart(histories, column, title, stretch=False, log=log)


def _chart(histories: Histories, column: str, title: str, *, stretch: bool, log: bool) -> Figure:
    figure, (axes,) = style.figure(margins=style.Margins(right=64))
    colours = style.rate_colours(len(histories))
    ends, low, high = [], np.inf, -np.inf
    last = max(len(run) for runs in histories.values() for run in runs)
    for index, (rate, runs) in enumerate(sorted(histories.items())):
        values = _by_epoch([run[column].to_numpy(np.float64) for run in runs])
        if log and not stretch:
            values = np.where(values > 0, values, np.nan)
        known = np.isfinite(values).any(axis=0)
        epochs, values = np.flatnonzero(known) + 1, values[:, known]
        if not len(epochs):
            continue
        lowest, middle, highest = (reduce(values, axis=0) for reduce in (np.nanmin, np.nanmedian, np.nanmax))
        low, high = min(low, float(lowest.min())), max(high, float(highest.max()))
        if stretch:
            lowest, middle, highest = (style.stretched(one) for one in (lowest, middle, highest))
        colour = colours[index].light
        if len(runs) > 1:
            axes.fill_between(epochs, lowest, highest, color=colour, alpha=0.18, linewidth=0)
        (line,) = axes.plot(
            epochs, middle, color=colour, linewidth=1.7, marker="." if len(epochs) == 1 else ""
        )
        if last <= _CALM and (dashes := style.rate_dashes(index)):
            line.set_dashes(dashes)
        if epochs[-1] < last:  # it diverged there
            axes.plot(epochs[-1:], middle[-1:], "x", color=colour, markersize=7, markeredgewidth=2)
        ends.append((float(middle[-1]), wording.rate(rate), colour))
    style.title(axes, title)
    style.epochs_axis(axes, last)
    if stretch and np.isfinite(low):
        style.accuracy_axis(axes, max(0.0, low - 0.1 * (1 - low)), min(0.9999, high + 0.15 * (1 - high)))
    elif log and np.isfinite(low):
        axes.set_ylim(max(low, high * _DEEPEST) / 1.25, high * 1.25)
        style.log_axis(axes)
    style.end_labels(axes, ends)
    return figure


def _by_epoch(runs: Sequence[np.ndarray]) -> np.ndarray:
    """Shape (runs, epochs); NaN after the end of a run that diverged."""
    table = np.full((len(runs), max(map(len, runs))), np.nan)
    for row, values in zip(table, runs, strict=True):
        row[: len(values)] = np.where(np.isfinite(values), values, np.nan)
    return table
