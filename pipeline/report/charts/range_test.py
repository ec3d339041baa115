"""The range test's chart: loss over the rate as it rises."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray

from pipeline.report.charts import style
from pipeline.report.text import wording

Floats = NDArray[np.float64]


def range_chart(
    rates: Floats, losses: Floats, suggestions: Mapping[str, float], chosen: float | None
) -> Figure:
    """Smoothed loss over rate: median over seeds, band from lowest to highest.

    Args:
        rates: shape (steps,), rising.
        losses: shape (seeds, steps), NaN after a divergence.
        suggestions: rate by rule; each is marked.
        chosen: the study's choice, marked too.
    """
    figure, (axes,) = style.figure(height=330, margins=style.Margins(right=20))
    known = np.isfinite(losses).any(axis=0)
    rates, losses = rates[known], losses[:, known]
    lowest, middle, highest = (reduce(losses, axis=0) for reduce in (np.nanmin, np.nanmedian, np.nanmax))
    axes.fill_between(rates, lowest, highest, color=style.TRAINING, alpha=0.2, linewidth=0)
    axes.plot(rates, middle, color=style.TRAINING, linewidth=1.8)
    axes.set_xscale("log")
    axes.set_xlim(rates[0], rates[-1])
    axes.xaxis.set_major_locator(LogLocator(10))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: wording.rate(value))
    axes.set_xlabel("learning rate", fontsize=11.5, color=style.MUTED)
    axes.set_ylim(0, 1.35 * float(middle[: max(1, len(middle) // 10)].max()))
    style.title(axes, "training loss while the rate rises")
    marks = [(rate, rule, style.INK) for rule, rate in suggestions.items()]
    marks += [(chosen, "study", style.ACCENT)] if chosen else []
    top = axes.get_ylim()[1]
    for place, (rate, text, colour) in enumerate(sorted(marks)):
        height = top * (0.97 - 0.075 * (place % 4))
        (line,) = axes.plot([rate, rate], [0, height - 0.01 * top], color=colour, linewidth=1.2)
        if colour != style.ACCENT:
            line.set_dashes((2, 2))
        axes.text(rate, height, f" {text}", fontsize=10, color=colour, va="center", ha="left")
    return figure
