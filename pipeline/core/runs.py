"""A run's folder, `runs/lr-<rate>/seed-<seed>`: where it is, what is in it, how it is read.

history.csv      a row per epoch; floats in full precision; the last row of a diverged run holds its NaN
metrics.json     final, best and kept values, test loss and accuracy, and what identifies the run
predictions.npy  the class predicted for each test example, int32; -1 where a diverged run predicts none
model.keras      the network of the epoch that `train.keep` names; loads with plain Keras
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
    import pandas as pd  # at run time in `read` alone: a training writes runs, and needs no pandas

HISTORY, METRICS, PREDICTIONS, MODEL = "history.csv", "metrics.json", "predictions.npy", "model.keras"
CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")
"""The columns of history.csv that Keras' own history has; the diagnostics follow them."""
ARITHMETIC, PORTABLE = "arithmetic", "portable"
"""A key of metrics.json, and its value where every machine gives these bits; else it names the machine."""


class Run(NamedTuple):
    """A run as its folder holds it.

    Attributes:
        history: columns `epoch` (1, 2, ...), `CURVES`, then the diagnostics; one row per epoch.
        metrics: the content of metrics.json.
        predictions: shape (test examples,), int32.
    """

    learning_rate: float
    seed: int
    history: "pd.DataFrame"
    metrics: dict[str, Any]
    predictions: NDArray[np.int32]


def held_out_part(validation_size: int) -> str:
    """Name the part that training does not see and runs are judged by; with nothing held out, `test`."""
    return "validation" if validation_size else "test"


def folder(runs: Path, learning_rate: float, seed: int) -> Path:
    """Build a run's path in DVC's matrix; Python and DVC write rates alike (0.0001, 1e-05)."""
    return runs / f"lr-{learning_rate}" / f"seed-{seed}"


def write_history(path: Path, measures: Sequence[str], rows: Iterable[Sequence[float]]) -> None:
    """Write a row per epoch, counted from 1; Python's text of a float reads back to the bit."""
    with files.replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("epoch", *measures))
        writer.writerows((epoch, *row) for epoch, row in enumerate(rows, start=1))


def read(runs: Path, learning_rate: float, seed: int) -> Run:
    """Read a run's folder, and check that it is the run's.

    Raises:
        RunError: the folder or one of its files is missing, damaged, or another rate's or seed's.
    """
    from pipeline.core import tables

    path = folder(runs, learning_rate, seed)
    name = f"the run with learning rate {learning_rate} and seed {seed}"
    again = "`dvc repro -f` on its stage trains it again."
    if not path.is_dir():
        raise RunError(f"{path}: expected {name}, found no folder. Run `dvc repro` to train it.")
    try:
        metrics = files.read_json(path / METRICS)
        predictions = arrays.read(path / PREDICTIONS, np.int32, (None,))
        history = tables.read(path / HISTORY, ("epoch", *CURVES))
    except DataError as error:
        raise RunError(f"{path}: expected {name}, got: {error} {again}") from error
    identity = {"learning_rate": learning_rate, "seed": seed}
    got = {key: metrics.get(key) for key in identity} if isinstance(metrics, dict) else metrics
    if got != identity:
        raise RunError(f"{path / METRICS}: expected {name}, got {got}. {again}")
    return Run(learning_rate, seed, history, metrics, predictions)
