"""A run from its images to its folder: goes on from its checkpoint, and stops when a signal asks for it.

The train stage trains one run in a process of its own, a sweep's worker many with the same trainer.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from pipeline.core import arrays, files, machine, runs
from pipeline.core.errors import Interrupted
from pipeline.params import Params
from pipeline.train import backend, loop, models
from pipeline.train.checkpoints import Checkpoint, EpochRow, State
from pipeline.train.images import Images
from pipeline.train.signals import Interruption

OnEpoch = Callable[[int, Mapping[str, float]], None]
_NO_PREDICTION = 255


class Runner:
    """A trainer of one study's runs from images to folder, one after the other.

    Args:
        images: by part: `train`, `validation`, `test`.

    Attributes:
        processor: what computes, as checkpoints know it.
    """

    def __init__(self, study: Params, images: Mapping[str, Images]) -> None:
        self._study = study
        self._held_out = runs.held_out_part(study.data.validation_size)
        self._test = images["test"]
        self._trainer = loop.Trainer(
            images["train"],
            images[self._held_out],
            study.train.batch_size,
            study.train.hidden_units,
            study.train.precision,
        )
        self.processor = f"{machine.processor()} {backend.describe_device()}"

    def run(
        self,
        learning_rate: float,
        seed: int,
        run_key: str,
        folder: Path,
        interruption: Interruption,
        on_epoch: OnEpoch,
    ) -> None:
        """Train to the end, from the checkpoint if there is one, and write the run's folder at once.

        Args:
            interruption: looked at after each epoch.
            on_epoch: called with the number and the measures of every epoch, those from the checkpoint too.

        Raises:
            Interrupted: a signal came; the checkpoint holds all epochs done.
        """
        checkpoint = Checkpoint(run_key, self.processor)
        rows = self._train(learning_rate, seed, checkpoint, interruption, on_epoch)
        loss, accuracy, predictions = self._trainer.evaluate(self._test)
        tested: dict[str, float | None] = {"loss": loss, "accuracy": accuracy}
        diverged = loop.is_diverged(rows[-1])
        if diverged:  # the network's answers may be NaN: their argmax would be a made-up class
            predictions, tested = np.full_like(predictions, _NO_PREDICTION), {"loss": None, "accuracy": None}
        metrics = {
            "dataset": self._study.data.dataset,
            "learning_rate": learning_rate,
            "seed": seed,
            "run_key": run_key,
            "validation_data": self._held_out,
            "epochs": len(rows),
            "epochs_configured": self._study.train.epochs,
            "diverged_epoch": len(rows) if diverged else None,
            "final": {name: rows[-1][name] for name in runs.CURVES},
            "best": _best(rows, "val_accuracy", max) | _best(rows, "val_loss", min),
            "test": tested,
        }
        with files.replacing_folder(folder) as temporary:
            runs.write_history(temporary / runs.HISTORY, list(rows[0]), [list(row.values()) for row in rows])
            files.write_json(temporary / runs.METRICS, metrics)
            arrays.write(temporary / runs.PREDICTIONS, predictions)
            models.write(temporary / runs.MODEL, self._trainer.model())
        checkpoint.remove()

    def _train(
        self,
        learning_rate: float,
        seed: int,
        checkpoint: Checkpoint,
        interruption: Interruption,
        on_epoch: OnEpoch,
    ) -> list[EpochRow]:
        start, epochs = checkpoint.load(), self._study.train.epochs
        for epoch, row in enumerate(start.rows if start else (), start=1):
            on_epoch(epoch, row)
        rows: list[EpochRow] = []
        for rows in self._trainer.train(learning_rate, seed, epochs, start):
            on_epoch(len(rows), rows[-1])
            if loop.is_diverged(rows[-1]) or len(rows) == epochs:
                break
            if interruption.signal or checkpoint.is_due():
                checkpoint.save(State(rows, self._trainer.variables()))
            if interruption.signal:
                raise Interrupted(
                    f"Stopped by signal {interruption.signal} after epoch {len(rows)} of {epochs}; "
                    "the same command goes on from there.",
                    interruption.signal,
                )
        return rows


def _best(
    rows: list[EpochRow], name: str, choose: Callable[[list[float]], float]
) -> dict[str, float | int | None]:
    """Find the best value of a measure and the first epoch that reached it; None if it was never finite."""
    values = [row[name] for row in rows]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return {name: None, f"{name}_epoch": None}
    return {name: choose(finite), f"{name}_epoch": values.index(choose(finite)) + 1}
