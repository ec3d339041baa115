"""The range test's chart: loss over the rate as it rises."""

import numpy as np
from matplotlib.figure import Figure

from pipeline.report.charts import style
from pipeline.report.inputs import RangeTest


def range_chart(ranged: RangeTest, chosen: float | None) -> Figure:
    """Draw the loss over the rate, median and range over seeds; mark suggestions and the study's choice."""
    figure, (axes,) = style.figure(height=330, right=20)
    known = np.isfinite(ranged.losses).any(axis=0)
    rates, losses = ranged.rates[known], ranged.losses[:, known]
    lowest, middle, highest = (reduce(losses, axis=0) for reduce in (np.nanmin, np.nanmedian, np.nanmax))
    axes.fill_between(rates, lowest, highest, color=style.TRAINING, alpha=0.2, linewidth=0)
    axes.plot(rates, middle, color=style.TRAINING, linewidth=1.8)
    style.rate_axis(axes, rates[0], rates[-1])
    style.title(axes, "training loss while the rate rises")
    top = 1.35 * float(middle[: max(1, len(middle) // 10)].max())
    axes.set_ylim(0, top)
    marks = [(suggestion.median, rule) for rule, suggestion in ranged.suggestions.items()]
    marks += [(chosen, "study")] if chosen else []
    for index, (rate, text) in enumerate(sorted(marks)):
        colour, dash = (style.ACCENT, "-") if text == "study" else (style.INK, (0, (2, 2)))
        height = top * (0.97 - 0.075 * (index % 4))
        axes.plot([rate, rate], [0, height - 0.01 * top], color=colour, linestyle=dash, linewidth=1.2)
        axes.text(rate, height, f" {text}", fontsize=10, color=colour, va="center", ha="left")
    return figure
