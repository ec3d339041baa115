"""The recipe's chart: loss and accuracy over the epochs, training and validation."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.analysis.statistics import Floats
from pipeline.report.charts import style

_TALL = 2.5
"""A first loss this many times above all others would flatten them; it is cut off and said in words."""


def recipe_chart(histories: Sequence[pd.DataFrame], held_out: str = "validation") -> Figure:
    """Draw one rate's loss above its accuracy, a line for each run; `held_out` is `validation` or `test`."""
    figure, panels = style.figure(height=430, rows=2, right=78)
    last = max(map(len, histories))
    limits = {"loss": _limit_loss, "accuracy": _limit_accuracy}
    for axes, (measure, limit) in zip(panels, limits.items(), strict=True):
        series = [
            ("training", style.by_epoch(histories, measure), style.TRAINING, "-"),
            (held_out, style.by_epoch(histories, f"val_{measure}"), style.VALIDATION, "--"),
        ]
        ends = []
        for name, values, colour, dash in series:
            marker = "." if (values.count() == 1).any() else ""
            width = 1.5 if len(histories) == 1 else 1.1
            axes.plot(values, dash, marker=marker, color=colour, linewidth=width, alpha=0.85)
            if not np.isnan(end := values.ffill().iloc[-1].median()):
                ends.append((end, name, colour))
        style.epochs_axis(axes, last)
        style.title(axes, measure)
        limit(axes, np.hstack([values for _, values, _, _ in series]))
        style.end_labels(axes, ends)
    panels[0].set_xlabel("")
    return figure


def _limit_loss(axes: Axes, values: Floats) -> None:
    first, rest = (np.nanmax(part, initial=0) for part in (values[:1], values[1:]))
    top = max(first, rest)
    if first > _TALL * rest > 0:
        top = rest
        note = f"off the scale: {first:.3g} at epoch 1"
        where = axes.transAxes
        axes.text(1, 1.03, note, transform=where, va="bottom", ha="right", fontsize=10, color=style.MUTED)
    axes.set_ylim(0, 1.05 * top if top > 0 else 1)


def _limit_accuracy(axes: Axes, values: Floats) -> None:
    low = np.nanmin(values, initial=1) if np.isfinite(values).any() else 0.0
    axes.set_ylim(max(0.0, low - 0.05 * (1 - low) - 0.002), 1.0 + 0.02 * (1 - low))
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")
