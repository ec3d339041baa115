"""Charts from tables, with matplotlib's object interface: no window, no global state, always the same bytes.

`style` draws axes and holds the colours, `svg` writes figures for files and for the page, the other modules
hold the charts. Knows no files and no HTML.
"""

from pipeline.figures.curves import diagnostic_chart, overlay_chart
from pipeline.figures.range_test import range_chart
from pipeline.figures.recipe import recipe_chart, run_chart
from pipeline.figures.response import response_chart

__all__ = [
    "diagnostic_chart",
    "overlay_chart",
    "range_chart",
    "recipe_chart",
    "response_chart",
    "run_chart",
]
