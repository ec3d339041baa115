"""The recipe's chart of one run: loss and accuracy over the epochs, for MLflow's list of artifacts."""

import math
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

_LINES = (("training", "", "#0a6ebd", "-"), ("validation", "val_", "#c4470a", "--"))
_TALL = 2.5  # a first loss this many times above all later ones would flatten them, and is cut off


def draw(path: Path, history: pd.DataFrame, title: str) -> None:
    """Draw loss and accuracy side by side, training and validation in each, as a PNG.

    `history` has `epoch`, `loss`, `accuracy`, `val_loss` and `val_accuracy`; NaN and infinity leave gaps.
    """
    mpl.rcdefaults()  # a user's matplotlibrc has no say
    figure = Figure(figsize=(12, 4.8))
    # Margins by hand: working them out would take as long as the drawing.
    figure.subplots_adjust(left=0.05, right=0.985, bottom=0.12, top=0.85, wspace=0.12)
    figure.suptitle(title)
    for axes, measure in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for label, prefix, colour, dash in _LINES:
            values = history[prefix + measure].where(history[prefix + measure].abs() < math.inf)
            marker = "." if len(history) == 1 else ""
            axes.plot(history["epoch"], values, dash, marker=marker, color=colour, label=label)
        axes.set_xlabel("epoch")
        axes.set_title(measure)
        axes.grid(axis="y", alpha=0.4)
        axes.legend()
        if measure == "loss":
            losses = history[["loss", "val_loss"]]
            first, rest = losses[:1].to_numpy().max(), losses[1:].to_numpy().max(initial=0)
            if first > _TALL * rest > 0:
                axes.set_ylim(0, 1.05 * rest)
                axes.set_title(f"loss (off the scale at epoch 1: {first:.3g})")
    figure.savefig(path, dpi=75)
