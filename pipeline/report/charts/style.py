"""What all charts share: colours for light and dark, the size of a chart, axes, labels that do not overlap.

Every colour has a role. Charts are drawn in the roles' light colours; where a chart stands inside the page,
`svg.inline` puts a CSS variable instead of each, so that the same drawing serves both schemes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from pipeline.report.analysis.statistics import Floats
from pipeline.report.text import wording


class Colour(NamedTuple):
    """One role's colour on a light and on a dark ground, as #rrggbb."""

    light: str
    dark: str


COLOURS = {
    "paper": Colour("#fffffe", "#14181f"),
    "ink": Colour("#1c2430", "#e7ebf0"),
    "muted": Colour("#566171", "#a5afbd"),
    "grid": Colour("#dfe4ea", "#303947"),
    "accent": Colour("#0b6bcb", "#6db3ff"),
    "training": Colour("#0a6ebd", "#62b0ff"),
    "validation": Colour("#c4470a", "#ff9d5c"),
    "bad": Colour("#b3261f", "#ff8a80"),
}
"""Blue against orange stays apart in the common kinds of colour blindness; each has a contrast of 4.5 to 1
with its paper. No two roles share a light colour, so that each can be found again in a drawing."""

PAPER, INK, MUTED, GRID, ACCENT, TRAINING, VALIDATION, BAD = (colour.light for colour in COLOURS.values())

_WIDTH = 440
"""Of a chart on the page, in CSS pixels: text stays readable when a phone shrinks it to 360."""
_DPI = 72
_SMALL = 11.5
_TITLE = 58
"""Letters of a title that fit at its full size; a longer one is written smaller."""
_AXES: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": MUTED,
    "axes.labelsize": _SMALL,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": GRID,
}
DASHES: Any = ("-", (0, (5, 1.5)), (0, (2, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
"""Of rates, in turn: neighbours differ by more than colour."""

_NICE: Sequence[float] = (
    0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.988,
    0.99, 0.992, 0.994, 0.995, 0.996, 0.997, 0.998, 0.999, 0.9999,
)  # fmt: skip
"""Ticks of a stretched accuracy axis, which is too uneven for matplotlib's own."""
_LEAST_SPAN = 0.02
"""Of a stretched axis: where all accuracies are equal, some room below them."""


def rate_colours(count: int) -> list[Colour]:
    """Give each rate a colour, rising: a perceptually even scale, cut where the ground is too near.

    Lightness rises with the rate, so that the order survives colour blindness and grey print.
    """
    scale = mpl.colormaps["plasma"]
    shares = np.linspace(0, 1, count) if count > 1 else np.array([0.4])
    return [Colour(to_hex(scale(0.02 + 0.61 * share)), to_hex(scale(0.4 + 0.54 * share))) for share in shares]


def figure(
    height: int = 300, rows: int = 1, *, right: int = 14, top: int = 30, bottom: int = 42
) -> tuple[Figure, list[Axes]]:
    """Make a figure with axes one above the other; height and margins in CSS pixels.

    The margins are fixed: fitting them to the text would take most of the time, and depend on the fonts.
    """
    drawn = Figure(figsize=(_WIDTH / _DPI, height / _DPI), dpi=_DPI, facecolor=PAPER)
    around = {"left": 54 / _WIDTH, "right": 1 - right / _WIDTH}
    around |= {"bottom": bottom / height, "top": 1 - top / height, "hspace": 0.42}
    with mpl.rc_context(_AXES):
        panels = list(drawn.subplots(rows, squeeze=False, gridspec_kw=around)[:, 0])
    for axes in panels:
        axes.tick_params(colors=MUTED, labelsize=_SMALL, length=3)
    return drawn, panels


def by_epoch(runs: Sequence[pd.DataFrame], column: str) -> pd.DataFrame:
    """Put a column of several histories side by side: a row per epoch, NaN where it is not finite."""
    table = pd.concat([run.set_index("epoch")[column] for run in runs], axis=1, keys=range(len(runs)))
    return table.astype(np.float64).replace([np.inf, -np.inf], np.nan)


def title(axes: Axes, text: str, pad: float = 9) -> None:
    """Write what the vertical axis shows above it, where it need not be read sideways."""
    axes.set_title(
        text,
        loc="left",
        fontsize=min(12.5, 12.5 * _TITLE / len(text)),
        color=INK,
        x=0,
        pad=pad,
        parse_math=False,
    )


def epochs_axis(axes: Axes, last: int) -> None:
    axes.set_xlim((1, last) if last > 1 else (0.5, 1.5))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("epoch")


def rate_axis(axes: Axes, low: float, high: float) -> None:
    """Make the horizontal axis one of learning rates, logarithmic."""
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: wording.rate(float(f"{value:.12g}")))
    axes.set_xlim(low, high)
    axes.set_xlabel("learning rate")


def stretched(accuracy: ArrayLike) -> Floats:
    """Stretch accuracies towards 100 %: an equal step divides the errors that are left by an equal factor."""
    return np.asarray(-np.log10(np.maximum(1 - np.asarray(accuracy), 1e-4)), np.float64)


def unstretched(values: ArrayLike) -> Floats:
    return 1 - 10 ** -np.asarray(values, np.float64)


def accuracy_axis(axes: Axes, low: float, high: float) -> None:
    """Make the vertical axis one of accuracies, stretched towards 100 %, with ticks in per cent."""
    axes.set_yscale("function", functions=(stretched, unstretched))
    bottom, top = stretched([low, high])
    if top - bottom < _LEAST_SPAN:
        low = float(unstretched(bottom - _LEAST_SPAN))
    axes.set_ylim(low, high)
    candidates, apart = _NICE, (top - bottom) / 9
    if top - bottom <= 0.35:
        candidates, apart = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(low, min(high, 0.9999)), 0
    ticks: list[float] = []
    for tick in candidates[::-1]:
        if low <= tick <= high and (not ticks or stretched(ticks[-1]) - stretched(tick) >= apart):
            ticks.append(tick)
    axes.set_yticks(ticks, [f"{100 * tick:.6g} %" for tick in ticks])


def end_labels(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write a label beside the right end of each line (value, text, colour), where no two overlap.

    A leader in the line's colour ties the two together; the text is in ink, which can be read on any ground.
    """
    if not ends:
        return
    points = [[1, value] for value, _, _ in ends]
    heights = axes.transLimits.transform(axes.transScale.transform(points))[:, 1]
    heights = np.clip(np.nan_to_num(heights), 0, 1)
    order = np.argsort(heights, kind="stable")
    gap = min((_SMALL + 1.5) / axes.get_window_extent().height, 1 / max(len(ends) - 1, 1))
    gaps = gap * np.arange(len(ends))
    # Without the gaps the labels' heights need only not fall, each as near to its line as can be.
    spots = np.clip(isotonic_regression(heights[order] - gaps).x, 0, max(0.0, 1 - gaps[-1])) + gaps
    for index, spot in zip(order, spots, strict=True):
        _, text, colour = ends[index]
        leader = ([1.004, 1.018, 1.036], [heights[index], spot, spot])
        axes.plot(*leader, transform=axes.transAxes, color=colour, linewidth=1.5, clip_on=False)
        axes.text(1.045, spot, text, transform=axes.transAxes, va="center", fontsize=_SMALL, color=INK)
