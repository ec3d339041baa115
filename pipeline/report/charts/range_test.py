"""The range test's chart: loss over the rate as it rises."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from pipeline.report.charts import style


def range_chart(
    rates: style.Floats, losses: style.Floats, suggestions: Mapping[str, float], chosen: float | None
) -> Figure:
    """Draw the smoothed loss over the rate: median over seeds, band from lowest to highest.

    Args:
        rates: shape (steps,), rising.
        losses: shape (seeds, steps), NaN after a divergence.
        suggestions: rate by rule; each is marked.
        chosen: the study's choice, marked too.
    """
    figure, (axes,) = style.figure(height=330, right=20)
    known = np.isfinite(losses).any(axis=0)
    rates, losses = rates[known], losses[:, known]
    lowest, middle, highest = (reduce(losses, axis=0) for reduce in (np.nanmin, np.nanmedian, np.nanmax))
    axes.fill_between(rates, lowest, highest, color=style.TRAINING, alpha=0.2, linewidth=0)
    axes.plot(rates, middle, color=style.TRAINING, linewidth=1.8)
    style.rate_axis(axes, rates[0], rates[-1])
    style.title(axes, "training loss while the rate rises")
    top = 1.35 * float(middle[: max(1, len(middle) // 10)].max())
    axes.set_ylim(0, top)
    marks = [(rate, rule) for rule, rate in suggestions.items()] + ([(chosen, "study")] if chosen else [])
    for index, (rate, text) in enumerate(sorted(marks)):
        colour, dash = (style.ACCENT, "-") if text == "study" else (style.INK, (0, (2, 2)))
        height = top * (0.97 - 0.075 * (index % 4))
        axes.plot([rate, rate], [0, height - 0.01 * top], color=colour, linestyle=dash, linewidth=1.2)
        axes.text(rate, height, f" {text}", fontsize=10, color=colour, va="center", ha="left")
    return figure
