"""What all charts share: colours for light and dark, the size of a chart, axes, labels that do not overlap.

Every colour has a role. Charts are drawn in the roles' light colours; where a chart stands inside the page,
`svg.inline` puts a CSS variable in the place of each, which is how one drawing serves both schemes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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

PAPER, INK, MUTED, GRID = (COLOURS[role].light for role in ("paper", "ink", "muted", "grid"))
ACCENT, BAD = COLOURS["accent"].light, COLOURS["bad"].light
TRAINING, VALIDATION = COLOURS["training"].light, COLOURS["validation"].light

WIDTH, HEIGHT = 440, 300
"""Of a chart on the page, in CSS pixels: text stays readable when a phone shrinks it to 360."""
_DPI = 72
_SMALL = 11.5
_LEAST_SPAN = 0.02
"""Of an axis of `stretched` accuracies: where all are equal, some room below them."""
_DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.5), (2, 1.2), (6, 1.5, 1.5, 1.5))


def rate_colours(count: int) -> list[Colour]:
    """One colour a rate, rising: a perceptually even scale, cut where the ground is too near.

    Lightness rises with the rate, so that the order survives colour blindness and grey print.
    """
    scale = mpl.colormaps["plasma"]
    places = np.linspace(0, 1, count) if count > 1 else np.array([0.4])
    return [Colour(to_hex(scale(0.02 + 0.61 * place)), to_hex(scale(0.4 + 0.54 * place))) for place in places]


def rate_dashes(index: int) -> tuple[float, ...]:
    """Line pattern of the rate at this place: neighbours differ by more than colour."""
    return _DASHES[index % len(_DASHES)]


class Margins(NamedTuple):
    """Pixels around the axes: for the ticks' labels, the title, and labels at the ends of lines."""

    left: int = 54
    right: int = 14
    top: int = 30
    bottom: int = 42


def figure(
    width: int = WIDTH, height: int = HEIGHT, rows: int = 1, columns: int = 1, margins: Margins | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure of this size in CSS pixels with axes one above the other, or side by side.

    The margins are fixed: fitting them to the text would take most of the time, and depend on the fonts.
    """
    around = margins or Margins()
    drawn = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=PAPER)
    grid = drawn.add_gridspec(
        rows,
        columns,
        left=around.left / width,
        right=1 - around.right / width,
        bottom=around.bottom / height,
        top=1 - around.top / height,
        hspace=0.42,
        wspace=0.42,
    )
    axes = [drawn.add_subplot(grid[row, column]) for row in range(rows) for column in range(columns)]
    for one in axes:
        one.set_facecolor("none")
        one.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
        one.set_axisbelow(True)
        one.tick_params(colors=MUTED, labelsize=_SMALL, length=3, width=0.8)
        one.spines[["top", "right"]].set_visible(False)
        one.spines[["left", "bottom"]].set_color(MUTED)
        one.spines[["left", "bottom"]].set_linewidth(0.8)
    return drawn, axes


def title(axes: Axes, text: str, pad: float = 9) -> None:
    """What the vertical axis shows, above it, where it need not be read sideways."""
    axes.set_title(text, loc="left", fontsize=12.5, color=INK, x=0, pad=pad)


def epochs_axis(axes: Axes, last: int) -> None:
    axes.set_xlim(1 if last > 1 else 0.5, last if last > 1 else 1.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("epoch", fontsize=11.5, color=MUTED)


def log_axis(axes: Axes) -> None:
    """A logarithmic vertical axis without the thicket of minor ticks."""
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    if high / low < 100:  # no two decades: 1, 2, 5 as well
        decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        ticks = [
            tick for decade in decades for tick in (decade, 2 * decade, 5 * decade) if low <= tick <= high
        ]
        axes.yaxis.set_major_locator(FixedLocator(ticks))
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    else:
        decades = np.arange(np.ceil(np.log10(low)), np.floor(np.log10(high)) + 1)
        step = int(np.ceil(len(decades) / 6))
        ticks = [float(10.0**power) for power in decades[:: max(step, 1)]]
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])


def stretched(accuracy: Floats | float) -> Floats:
    """Accuracies on an axis stretched towards 100 %: equal steps halve, say, the errors that are left."""
    return np.asarray(-np.log10(np.maximum(1 - np.asarray(accuracy), 1e-4)), np.float64)


def accuracy_axis(axes: Axes, low: float, high: float) -> None:
    """Ticks in per cent on an axis of `stretched` values, from accuracy `low` to `high`."""
    bottom, top = float(stretched(low)), float(stretched(high))
    if top - bottom < _LEAST_SPAN:
        bottom, low = bottom - _LEAST_SPAN, 1 - 10 ** (_LEAST_SPAN - bottom)
    axes.set_ylim(bottom, top)
    if top - bottom > 0.35:
        nice = [0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.988]
        candidates = [*nice, 0.99, 0.992, 0.994, 0.995, 0.996, 0.997, 0.998, 0.999, 0.9999]
        apart = (top - bottom) / 9
    else:
        locator = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10])
        candidates = [float(tick) for tick in locator.tick_values(low, min(high, 0.9999))]
        apart = 0.0
    ticks: list[float] = []
    for tick in sorted((tick for tick in candidates if low <= tick <= high), reverse=True):
        if not ticks or stretched(ticks[-1]) - stretched(tick) >= apart:
            ticks.append(tick)
    axes.set_yticks([float(stretched(tick)) for tick in ticks], [f"{100 * tick:.6g} %" for tick in ticks])


def end_labels(axes: Axes, ends: Sequence[tuple[float, str, str]], size: float = _SMALL) -> None:
    """Write a label beside the right end of each line, moved up or down where two would overlap.

    A leader in the line's colour ties the two together; the text is in ink, which can be read on any ground.

    Args:
        ends: value on the vertical axis, text, colour.
    """
    if not ends:
        return
    height = axes.get_window_extent().height
    low, high = axes.get_ylim()
    transform = axes.transScale.transform
    bottom, top = transform([[1, low], [1, high]])[:, 1]
    gap = min((size + 1.5) / height, 1 / max(len(ends) - 1, 1))
    spots = (transform([[1, value] for value, _, _ in ends])[:, 1] - bottom) / (top - bottom)
    spots = np.clip(np.nan_to_num(spots), 0, 1)
    order = np.argsort(spots, kind="stable")
    ends_of_lines = spots[order]
    spots = _apart(ends_of_lines, gap)
    for end, spot, index in zip(ends_of_lines, spots, order, strict=True):
        _, text, colour = ends[index]
        leader = ([1.004, 1.018, 1.036], [end, spot, spot])
        axes.plot(*leader, transform=axes.transAxes, color=colour, linewidth=1.5, clip_on=False)
        axes.text(1.045, spot, text, transform=axes.transAxes, va="center", fontsize=size, color=INK)


def _apart(spots: Floats, gap: float) -> Floats:
    """Move rising places in [0, 1] so that neighbours lie a gap apart, each as little as can be.

    Without the gaps the places need only not fall: an isotonic regression, which pools what would.
    """
    gaps = gap * np.arange(len(spots))
    pools: list[list[float]] = []
    for spot in spots - gaps:
        pools.append([float(spot)])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    level = np.concatenate([np.full(len(pool), np.mean(pool)) for pool in pools])
    return np.asarray(np.clip(level, 0, max(0.0, 1 - gaps[-1])) + gaps, np.float64)
