"""The recipe's chart: loss and accuracy over the epochs, training and validation."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from pipeline.report.charts import style

_SERIES = (("training", "", style.TRAINING, "-"), ("validation", "val_", style.VALIDATION, "--"))
_TOWERING = 2.5
"""A first loss this many times above all others would flatten them; it is cut off and said in words."""


def recipe_chart(histories: Sequence[pd.DataFrame], held_out: str = "validation") -> Figure:
    """One rate's loss above its accuracy, a line for each run.

    Args:
        held_out: what the validation data are: `validation` or `test`.
    """
    figure, axes = style.figure(height=430, rows=2, margins=style.Margins(right=78))
    _draw(axes, histories, held_out)
    axes[0].set_xlabel("")
    return figure


def _draw(axes: Sequence[Axes], histories: Sequence[pd.DataFrame], held_out: str) -> None:
    last = max(int(history["epoch"].iloc[-1]) for history in histories)
    for one, measure in zip(axes, ("loss", "accuracy"), strict=True):
        ends = []
        for name, prefix, colour, dash in _SERIES:
            lines = [history[["epoch", prefix + measure]].to_numpy(np.float64) for history in histories]
            lines = [line[np.isfinite(line).all(axis=1)] for line in lines]
            if any(len(line) == 1 for line in lines):
                points = np.concatenate(lines)
                one.plot(points[:, 0], points[:, 1], ".", color=colour)
            one.add_collection(
                LineCollection(
                    lines,
                    colors=colour,
                    linestyles=dash,
                    linewidths=1.5 if len(lines) == 1 else 1.1,
                    alpha=0.85,
                )
            )
            finals = [line[-1, 1] for line in lines if len(line)]
            label = held_out if prefix else name
            ends += [(float(np.median(finals)), label, colour)] if finals else []
        style.epochs_axis(one, last)
        style.title(one, measure)
        if measure == "loss":
            _loss_axis(one, histories)
        else:
            _accuracy_axis(one, histories)
        style.end_labels(one, ends)


def _loss_axis(axes: Axes, histories: Sequence[pd.DataFrame]) -> None:
    values = [history[["loss", "val_loss"]].to_numpy(np.float64) for history in histories]
    first = _largest([value[:1] for value in values])
    rest = _largest([value[1:] for value in values])
    top = max(first, rest)
    if first > _TOWERING * rest > 0:
        top = rest
        axes.annotate(
            f"off the scale: {first:.3g} at epoch 1",
            (1, 1.03),
            xycoords="axes fraction",
            va="bottom",
            ha="right",
            fontsize=10,
            color=style.MUTED,
        )
    axes.set_ylim(0, 1.05 * top if top > 0 else 1)


def _accuracy_axis(axes: Axes, histories: Sequence[pd.DataFrame]) -> None:
    values = np.concatenate(
        [history[["accuracy", "val_accuracy"]].to_numpy(np.float64) for history in histories]
    )
    values = values[np.isfinite(values)]
    low = float(values.min()) if len(values) else 0.0
    axes.set_ylim(max(0.0, low - 0.05 * (1 - low) - 0.002), 1.0 + 0.02 * (1 - low))
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")


def _largest(values: Sequence[np.ndarray]) -> float:
    finite = np.concatenate([value[np.isfinite(value)] for value in values])
    return float(finite.max()) if len(finite) else 0.0
