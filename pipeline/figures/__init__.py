"""Charts from tables, with matplotlib's object interface: no window, no global state, always the same bytes.

`gallery` makes all of a report, `style` draws axes and holds the colours, `svg` writes figures for files and
for the page; the other modules hold the charts. Knows no files and no HTML.
"""

from pipeline.figures.recipe import run_chart

__all__ = ["run_chart"]
