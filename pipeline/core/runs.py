"""A run's folder, `runs/lr-<rate>/seed-<seed>`: where it is, what is in it, how it is read.

history.csv      a row per epoch; floats in full precision; the last row of a diverged run holds its NaN
metrics.json     final and best values, test loss and accuracy, and what identifies the run
predictions.npy  the class predicted for each test image, uint8; 255 where a diverged run predicts none
model.keras      the trained network; loads with plain Keras
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core import arrays, files
from pipeline.core.errors import DataError, RunError

if TYPE_CHECKING:
    import pandas as pd  # at run time in `read` alone: a training process writes runs and needs no pandas

HISTORY, METRICS, PREDICTIONS, MODEL = "history.csv", "metrics.json", "predictions.npy", "model.keras"
CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")
"""The columns of history.csv that Keras' own history has; the diagnostics follow them."""


class Run(NamedTuple):
    """A run as its folder tells it.

    Attributes:
        history: columns `epoch` (1, 2, ...), `CURVES`, then the diagnostics; one row per epoch.
        metrics: the content of metrics.json.
        predictions: shape (test images,), uint8.
    """

    learning_rate: float
    seed: int
    history: "pd.DataFrame"
    metrics: dict[str, Any]
    predictions: NDArray[np.uint8]


def held_out_part(validation_size: int) -> str:
    """Name the images that training does not see and runs are judged by: without any held out, the test's."""
    return "validation" if validation_size else "test"


def folder(runs: Path, learning_rate: float, seed: int) -> Path:
    """Where DVC's matrix puts the run: the rate as Python and DVC both write it (0.0001, 1e-05)."""
    return runs / f"lr-{learning_rate}" / f"seed-{seed}"


def write_history(path: Path, measures: Sequence[str], rows: Iterable[Sequence[float]]) -> None:
    """Write a row per epoch, counted from 1; `repr` gives the shortest text that reads back to the bit."""
    with files.replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("epoch", *measures))
        writer.writerows((epoch, *map(repr, row)) for epoch, row in enumerate(rows, start=1))


def read(runs: Path, learning_rate: float, seed: int) -> Run:
    """Raises:
    RunError: the folder or one of its files is missing or damaged, or it belongs to another rate or seed.
    """
    import pandas as pd

    place = folder(runs, learning_rate, seed)
    name = f"the run with learning rate {learning_rate} and seed {seed}"
    if not place.is_dir():
        raise RunError(f"{place}: expected {name}, found no folder. Run `dvc repro` to train it.")
    try:
        metrics = files.read_json(place / METRICS)
        predictions = arrays.read(place / PREDICTIONS, np.uint8, (None,))
        history = pd.read_csv(place / HISTORY)
    except (DataError, OSError, ValueError) as error:
        raise RunError(
            f"{place}: expected {name}, got: {error} `dvc repro -f` on its stage trains it again."
        ) from error
    missing = [column for column in ("epoch", *CURVES) if column not in history]
    if missing or history.empty:
        raise RunError(
            f"{place / HISTORY}: expected a row per epoch with {', '.join(('epoch', *CURVES))}; "
            f"missing: {', '.join(missing) or 'every row'}. Train the run again with `dvc repro -f`."
        )
    if not isinstance(metrics, dict) or (metrics.get("learning_rate"), metrics.get("seed")) != (
        learning_rate,
        seed,
    ):
        got = (
            {key: metrics.get(key) for key in ("learning_rate", "seed")}
            if isinstance(metrics, dict)
            else metrics
        )
        raise RunError(
            f"{place / METRICS}: expected {name}, got {got}. Train the run again with `dvc repro -f`."
        )
    return Run(learning_rate, seed, history, metrics, predictions)
