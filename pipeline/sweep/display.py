"""How far a sweep is, in one line: on a terminal updated where it stands, in a file every few seconds."""

import sys
import time
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

_EVERY = 5.0  # seconds between two lines in a file, in the beginning
_LINES = 100  # later they grow rarer, so that a sweep of days does not fill a disk


class Display:
    """The progress of a sweep, in runs and epochs; a run is named by its key.

    Args:
        total: runs to be trained, each of `epochs` epochs.

    Attributes:
        best: the kept epoch's validation accuracy, learning rate and seed of the best run so far.
    """

    def __init__(self, total: int, epochs: int) -> None:
        self.total, self._epochs = total, epochs
        self.done = self.failed = self.restarted = 0
        self.best: tuple[float, float, int] | None = None
        self._running: dict[str, int] = {}  # epochs done of each
        self._ended_epochs = 0
        self._began: float | None = None
        self._bar = tqdm(
            total=total * epochs,
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}% |{bar:12}| {desc}",
        )
        self.close = self._bar.close
        self._created = self._printed = time.monotonic()

    def start(self, run_key: str) -> None:
        """Count a run that begins, or begins again after its worker died."""
        self.restarted += run_key in self._running
        self._running[run_key] = 0
        self._began = self._began or time.monotonic()
        self._show()

    def epoch(self, run_key: str, epoch: int) -> None:
        self._running[run_key] = epoch
        self._show()

    def finish(self, run_key: str, metrics: Mapping[str, Any] | None) -> None:
        """Count a run whose outputs are there, or with None one that failed."""
        self.stop(run_key)
        self._ended_epochs += self._epochs
        if metrics is None:
            self.failed += 1
        else:
            self.done += 1
            self.compare(metrics)
        self._show(at_once=self.done + self.failed == self.total)

    def compare(self, metrics: Mapping[str, Any]) -> None:
        """Compare a run, trained now or before, with the best so far."""
        kept = metrics["kept"]
        accuracy = metrics["best" if kept["rule"] == "best_epoch" else "final"]["val_accuracy"]
        if kept["epoch"] and (self.best is None or accuracy > self.best[0]):
            self.best = (accuracy, metrics["learning_rate"], metrics["seed"])

    def stop(self, run_key: str) -> None:
        """Forget a run that was interrupted, or that had not begun when the sweep was."""
        self._running.pop(run_key, None)

    def line(self) -> str:
        parts = [f"{self.done}/{self.total} runs done, {len(self._running)} running, {self.failed} failed"]
        if self.restarted:
            parts.append(f"{self.restarted} begun again after a worker died")
        if self._began and (done := self._epochs_done()):
            left = (time.monotonic() - self._began) / done * (self.total * self._epochs - done)
            parts.append(f"{tqdm.format_interval(left)} left")
        if self.best:
            parts.append(f"best val_accuracy {self.best[0]:.4f} (rate {self.best[1]}, seed {self.best[2]})")
        return ", ".join(parts)

    def _show(self, *, at_once: bool = False) -> None:
        if not self._bar.disable:
            self._bar.set_description_str(self.line(), refresh=False)
            self._bar.update(self._epochs_done() - self._bar.n)
        elif at_once or (now := time.monotonic()) - self._printed >= max(
            _EVERY, (now - self._created) / _LINES
        ):
            self._printed = time.monotonic()
            print(f"sweep: {self.line()}", file=sys.stderr, flush=True)

    def _epochs_done(self) -> int:
        return self._ended_epochs + sum(self._running.values())
