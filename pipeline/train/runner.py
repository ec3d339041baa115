"""A run from its examples to its folder: goes on from its checkpoint, and stops when a signal asks for it.

The train stage trains one run in a process of its own, a sweep's worker many with the same trainer.
"""

import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core import arrays, files, machine, runs
from pipeline.core.errors import Interrupted
from pipeline.core.network_files import NetworkFile
from pipeline.core.task import Task
from pipeline.params import Params
from pipeline.train import arithmetic, backend, loop, models
from pipeline.train.checkpoints import Checkpoint, EpochRow, State
from pipeline.train.examples import Examples
from pipeline.train.networks import Builder
from pipeline.train.signals import Interruption

OnEpoch = Callable[[int, Mapping[str, float]], None]
_NO_PREDICTION = -1


class Runner:
    """A trainer of one study's runs from examples to folder, one after the other.

    Args:
        read: gives the examples of a part: `train`, `validation`, `test`.

    Attributes:
        processor: what computes, as checkpoints know it; with its threads where they change the bits.

    Raises:
        ParamsError: the network does not fit the task, or there are fewer examples than a batch takes.
    """

    def __init__(
        self, study: Params, network: NetworkFile, task: Task, read: Callable[[str], Examples]
    ) -> None:
        study.train.check_batch_size(task.sizes["train"])
        self._study = study
        self._held_out = runs.held_out_part(study.data.validation_size)
        self._test = read("test")
        builder = Builder(network, task, study.network.values, study.train.precision)
        self._trainer = loop.Trainer(builder, lambda: read("train"), read(self._held_out), study)
        self.processor = f"{machine.processor()} {backend.describe_device()}"
        self._arithmetic = runs.PORTABLE
        if part := self._undefined_part():
            self.processor = self._arithmetic = f"{self.processor}, {study.train.threads} threads"
            print(
                f"note: {part}: not by the definition in docs/portable-bits.md. The last digits are those of "
                f"{self._arithmetic}.",
                file=sys.stderr,
            )

    def run(
        self,
        learning_rate: float,
        seed: int,
        run_key: str,
        folder: Path,
        interruption: Interruption,
        on_epoch: OnEpoch,
        check: Callable[[], object] = lambda: None,
        on_start: Callable[[int], object] = lambda _: None,
    ) -> None:
        """Train to the end, from the checkpoint if there is one, and write the run's folder at once.

        Args:
            interruption: looked at after each epoch, and once more when all is ready.
            on_epoch: called with the number and the measures of every epoch, those from the checkpoint too.
            check: called with each checkpoint, and when all is ready to be written; what it raises leaves
                folder and checkpoint.
            on_start: called first, with the number of epochs that the checkpoint brings.

        Raises:
            Interrupted: a signal came; the checkpoint holds all epochs done.
        """
        checkpoint = Checkpoint(run_key, self.processor)
        rows, kept = self._train(learning_rate, seed, checkpoint, interruption, on_epoch, check, on_start)
        diverged = loop.is_diverged(rows[-1])
        if kept and not diverged:
            self._trainer.restore(kept)
        loss, accuracy, predictions = self._trainer.evaluate(self._test)
        tested: dict[str, float | None] = {"loss": loss, "accuracy": accuracy}
        if diverged:  # the network's answers may be NaN: their argmax would be a made-up class
            predictions, tested = np.full_like(predictions, _NO_PREDICTION), {"loss": None, "accuracy": None}
        best = _best(rows, "val_accuracy", max) | _best(rows, "val_loss", min)
        keep = self._study.train.keep
        kept_epoch = best["val_accuracy_epoch"] if keep == "best_epoch" else len(rows)
        metrics = {
            "dataset": self._study.data.dataset,
            runs.ARITHMETIC: self._arithmetic,
            "learning_rate": learning_rate,
            "seed": seed,
            "run_key": run_key,
            "validation_data": self._held_out,
            "epochs": len(rows),
            "epochs_configured": self._study.train.epochs,
            "diverged_epoch": len(rows) if diverged else None,
            "final": {name: rows[-1][name] for name in runs.CURVES},
            "best": best,
            "kept": {"rule": keep, "epoch": None if diverged else kept_epoch},
            "test": tested,
        }
        check()
        with files.replacing_folder(folder) as temporary:
            runs.write_history(temporary / runs.HISTORY, list(rows[0]), [list(row.values()) for row in rows])
            files.write_json(temporary / runs.METRICS, metrics)
            arrays.write(temporary / runs.PREDICTIONS, predictions)
            models.write(temporary / runs.MODEL, self._trainer.model)
            # DVC ignores a Ctrl-C while a stage runs: if it ended well, all that are left would follow.
            self._stop_if_asked(interruption, checkpoint, rows, kept)
        checkpoint.remove()

    def _undefined_part(self) -> str | None:
        """Say what makes the bits those of this machine, if anything does."""
        if (device := backend.describe_device()) != "CPU":
            return device
        if self._study.train.threads > arithmetic.THREADS:
            return f"{self._study.train.threads} threads"
        return self._trainer.deviation()

    def _train(
        self,
        learning_rate: float,
        seed: int,
        checkpoint: Checkpoint,
        interruption: Interruption,
        on_epoch: OnEpoch,
        check: Callable[[], object],
        on_start: Callable[[int], object],
    ) -> tuple[list[EpochRow], list[NDArray[Any]]]:
        """Train to the end; return all rows, and the network of the best epoch where that one is kept."""
        start, settings = checkpoint.load(), self._study.train
        on_start(len(start.rows) if start else 0)
        for epoch, row in enumerate(start.rows if start else (), start=1):
            on_epoch(epoch, row)
        rows, kept = (start.rows, start.kept) if start else ([], [])
        best = max(row["val_accuracy"] for row in start.rows) if start else -1.0
        for rows in self._trainer.train(learning_rate, seed, start):
            on_epoch(len(rows), rows[-1])
            if settings.keep == "best_epoch" and rows[-1]["val_accuracy"] > best:
                best, kept = rows[-1]["val_accuracy"], self._trainer.network()
            if loop.is_diverged(rows[-1]) or len(rows) == settings.epochs:
                break
            self._stop_if_asked(interruption, checkpoint, rows, kept)
            if checkpoint.is_due():
                checkpoint.save(State(rows, self._trainer.variables(), kept))
                check()
        return rows, kept

    def _stop_if_asked(
        self,
        interruption: Interruption,
        checkpoint: Checkpoint,
        rows: list[EpochRow],
        kept: list[NDArray[Any]],
    ) -> None:
        if interruption.signal is None:
            return
        checkpoint.save(State(rows, self._trainer.variables(), kept))
        raise Interrupted(
            f"Stopped by signal {interruption.signal} after epoch {len(rows)} of {self._study.train.epochs}; "
            "the same command goes on from there.",
            interruption.signal,
        )


def _best(
    rows: list[EpochRow], name: str, choose: Callable[[list[float]], float]
) -> dict[str, float | int | None]:
    """Find the best value of a measure and the first epoch that reached it; None if it was never finite."""
    values = [row[name] for row in rows]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return {name: None, f"{name}_epoch": None}
    return {name: choose(finite), f"{name}_epoch": values.index(choose(finite)) + 1}
