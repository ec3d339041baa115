"""How far a sweep is, in one line: on a terminal in place, in a file every few seconds."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

_EVERY = 5.0  # seconds between two lines in a file, in the beginning
_LINES = 100  # later they grow rarer, so that a sweep of days does not fill a disk


class Display:
    """Counts runs and epochs.

    Args:
        total: runs to be trained, each of `epochs` epochs.
    """

    def __init__(self, total: int, epochs: int) -> None:
        self.total, self._epochs = total, epochs
        self.done = self.failed = self.begun_again = 0
        self.best: tuple[float, float, int] | None = None
        self._progress: dict[int, int] = {}
        self._finished_epochs = 0
        self._began: float | None = None
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total * epochs,
            disable=not self._terminal,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}% |{bar:12}| {desc}",
        )
        self._shown = self._made = time.monotonic()

    def started(self, run: int) -> None:
        """A run begins, or begins again after its worker died."""
        self.begun_again += run in self._progress
        self._progress[run] = 0
        self._began = self._began or time.monotonic()
        self.show()

    def epoch(self, run: int, epoch: int) -> None:
        if run in self._progress:
            self._progress[run] = epoch
            self.show()

    def finished(self, run: int, metrics: Mapping[str, Any] | None) -> None:
        """A run's outputs are there; None: it failed."""
        self._progress.pop(run, None)
        self._finished_epochs += self._epochs
        if metrics is None:
            self.failed += 1
        else:
            self.done += 1
            self.consider(metrics)
        self.show(at_once=self.done + self.failed == self.total)

    def consider(self, metrics: Mapping[str, Any]) -> None:
        """A run that may be the best so far, trained now or before."""
        best = metrics["best"]["val_accuracy"]
        if best is not None and (self.best is None or best > self.best[0]):
            self.best = (best, metrics["learning_rate"], metrics["seed"])

    def stopped(self, run: int) -> None:
        """A run was interrupted, or not begun when the sweep was."""
        self._progress.pop(run, None)

    def line(self) -> str:
        running = len(self._progress)
        parts = [f"{self.done}/{self.total} runs done, {running} running, {self.failed} failed"]
        if self.begun_again:
            parts.append(f"{self.begun_again} begun again after a worker died")
        if (left := self._seconds_left()) is not None:
            parts.append(f"{_duration(left)} left")
        if self.best:
            parts.append(f"best val_accuracy {self.best[0]:.4f} (rate {self.best[1]}, seed {self.best[2]})")
        return ", ".join(parts)

    def show(self, *, at_once: bool = False) -> None:
        if self._terminal:
            self._bar.n = self._finished_epochs + sum(self._progress.values())
            self._bar.set_description_str(self.line(), refresh=False)
            self._bar.update(0)
        elif at_once or (now := time.monotonic()) - self._shown >= max(_EVERY, (now - self._made) / _LINES):
            self._shown = time.monotonic()
            print(f"sweep: {self.line()}", file=sys.stderr, flush=True)

    def _seconds_left(self) -> float | None:
        done = self._finished_epochs + sum(self._progress.values())
        if not done or self._began is None:
            return None
        return (time.monotonic() - self._began) / done * (self.total * self._epochs - done)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
