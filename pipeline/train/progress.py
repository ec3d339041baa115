"""How far the training and the study are: a bar on a terminal, a line every few seconds in a file."""

import sys
import time
from collections.abc import Mapping

import psutil
from tqdm import tqdm

_EVERY = 5.0  # seconds between two lines in a file


class Progress:
    """A display of epoch, loss, validation accuracy, the run's time left and the study's, on stderr.

    Args:
        name: what is trained, in front of each line.
        epochs: how many there will be.
        later_runs: how many runs of the study are still to be trained after this one.
    """

    def __init__(self, name: str, epochs: int, later_runs: int) -> None:
        self._name, self._epochs, self._later_runs = name, epochs, later_runs
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(
            desc=name, total=epochs, unit="epoch", disable=not self._terminal, dynamic_ncols=True
        )
        self._startup = time.time() - psutil.Process().create_time()
        self._shown = time.monotonic()
        self._first, self._shown_epoch = 1, 0

    def start(self, epochs: int) -> None:
        """Take how many finished epochs a checkpoint brings: they say nothing of the time that one takes."""
        self._first = epochs + 1
        self._bar.initial = self._bar.n = self._bar.last_print_n = epochs

    def update(self, epoch: int, measures: Mapping[str, float]) -> None:
        """Take a finished epoch's `loss` and `val_accuracy`."""
        if epoch < self._first:
            return
        text = f"loss {measures['loss']:.4f}, val_accuracy {measures['val_accuracy']:.4f}"
        now = time.monotonic()
        if self._first < epoch < self._epochs:  # the first epoch's time holds TensorFlow's preparation
            seconds = (now - self._shown) / (epoch - self._shown_epoch)
            text += f", {seconds * (self._epochs - epoch):.0f} s left{self._study(seconds, epoch)}"
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update()
        if not self._terminal and (epoch in {self._first, self._epochs} or now - self._shown >= _EVERY):
            print(f"{self._name}: epoch {epoch}/{self._epochs}, {text}", file=sys.stderr, flush=True)
        if epoch == self._first or now - self._shown >= _EVERY:
            self._shown, self._shown_epoch = now, epoch

    def _study(self, seconds: float, epoch: int) -> str:
        """Say how long the study will still take if the runs that are left take as long as this one."""
        if not self._later_runs:
            return ""
        run = self._startup + self._epochs * seconds
        minutes = (seconds * (self._epochs - epoch) + self._later_runs * run) / 60
        return f", about {minutes:.0f} min for the study" if minutes >= 1 else ", the study within a minute"

    def close(self) -> None:
        self._bar.close()
