"""One run from a trainer to its outputs: resumes from its checkpoint, stops when asked, ends in a result.

The train stage runs it once in a process of its own, a sweep's worker many times with one trainer.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core import arrays, files, runs
from pipeline.core.errors import Interrupted
from pipeline.train import models
from pipeline.train.checkpoints import Checkpoint, Content
from pipeline.train.images import Images
from pipeline.train.loop import MEASURES, State, Trainer
from pipeline.train.signals import Interruption

OnEpoch = Callable[[int, Mapping[str, float]], None]
_NO_PREDICTION = 255


class Task(NamedTuple):
    """What is to be trained.

    Attributes:
        dataset: the data set's name, for the record.
        validation_data: `validation`, or `test` in the textbook protocol, where the two are the same.
    """

    dataset: str
    learning_rate: float
    seed: int
    epochs: int
    run_key: str
    validation_data: str


class Outcome(NamedTuple):
    """A finished run: `write` makes a run's folder of it.

    Attributes:
        rows: `MEASURES` of each epoch.
        metrics: the content of metrics.json.
        predictions: shape (test images,), uint8.
        model: the Keras model.
    """

    rows: list[tuple[float, ...]]
    metrics: dict[str, Any]
    predictions: NDArray[np.uint8]
    model: Any


def run(
    trainer: Trainer,
    test: Images,
    task: Task,
    checkpoint: Checkpoint,
    interruption: Interruption,
    on_epoch: OnEpoch,
) -> Outcome:
    """Train to the end, from the checkpoint if there is one.

    Args:
        interruption: looked at after each epoch.
        on_epoch: told of every epoch, those that the checkpoint brought included, with its number and its
            measures by name.

    Raises:
        Interrupted: a signal came; the checkpoint holds all epochs done.
    """
    saved = checkpoint.load()
    start = State([tuple(row) for row in saved.rows.tolist()], saved.variables) if saved else State()
    for epoch, row in enumerate(start.rows, start=1):
        on_epoch(epoch, _named(row))
    state = start
    for state in trainer.train(task.learning_rate, task.seed, task.epochs, start):
        on_epoch(len(state.rows), _named(state.rows[-1]))
        if state.diverged or len(state.rows) == task.epochs:
            break
        if interruption.signal or checkpoint.is_due():
            checkpoint.save(_content(trainer.snapshot(state.rows)))
        if interruption.signal:
            raise Interrupted(
                f"Stopped by signal {interruption.signal} after epoch {len(state.rows)} of {task.epochs}; "
                "the same command goes on from there.",
                interruption.signal,
            )
    return _outcome(trainer, test, task, state)


def write(folder: Path, outcome: Outcome) -> None:
    """Write a run's folder; it appears complete or not at all."""
    with files.replacing_folder(folder) as place:
        runs.write_history(place / runs.HISTORY, MEASURES, outcome.rows)
        files.write_json(place / runs.METRICS, outcome.metrics)
        arrays.write(place / runs.PREDICTIONS, outcome.predictions)
        models.write(place / runs.MODEL, outcome.model)


def _outcome(trainer: Trainer, test: Images, task: Task, state: State) -> Outcome:
    evaluation = trainer.evaluate(test)
    if state.diverged:  # the network's answers may be no numbers: their argmax would be a made-up class
        predictions = np.full(len(test.labels), _NO_PREDICTION, np.uint8)
        tested = dict.fromkeys(("loss", "accuracy"))
    else:
        predictions = evaluation.predictions
        tested = {"loss": evaluation.loss, "accuracy": evaluation.accuracy}
    metrics = task._asdict() | {
        "epochs": len(state.rows),
        "epochs_configured": task.epochs,
        "diverged_epoch": len(state.rows) if state.diverged else None,
        "final": {name: _named(state.rows[-1])[name] for name in runs.CURVES},
        "best": _best(state.rows, "val_accuracy", max) | _best(state.rows, "val_loss", min),
        "test": tested,
    }
    return Outcome(state.rows, metrics, predictions, trainer.model())


def _best(
    rows: list[tuple[float, ...]], name: str, choose: Callable[[list[float]], float]
) -> dict[str, float | int | None]:
    """The best value of a measure and the first epoch that reached it; None if it was never finite."""
    values = [row[MEASURES.index(name)] for row in rows]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return {name: None, f"{name}_epoch": None}
    return {name: choose(finite), f"{name}_epoch": values.index(choose(finite)) + 1}


def _named(row: tuple[float, ...]) -> dict[str, float]:
    return dict(zip(MEASURES, row, strict=True))


def _content(state: State) -> Content:
    return Content(np.array(state.rows), state.variables)
