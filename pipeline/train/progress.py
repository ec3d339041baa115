"""How far the training is: a bar on a terminal, a line every few seconds in a file."""

import sys
import time
from collections.abc import Mapping

from tqdm import tqdm

_EVERY = 5.0  # seconds between two lines in a file


class Progress:
    """A display of epoch, loss, validation accuracy and the time left, on stderr.

    Args:
        name: what is trained, in front of each line.
        epochs: how many there will be.
    """

    def __init__(self, name: str, epochs: int) -> None:
        self._name, self._epochs = name, epochs
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(
            desc=name, total=epochs, unit="epoch", disable=not self._terminal, dynamic_ncols=True
        )
        self._shown = time.monotonic()
        self._shown_epoch = 0

    def update(self, epoch: int, measures: Mapping[str, float]) -> None:
        """Take a finished epoch's `loss` and `val_accuracy`; those that a checkpoint brought come at once."""
        text = f"loss {measures['loss']:.4f}, val_accuracy {measures['val_accuracy']:.4f}"
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update()
        now = time.monotonic()
        if not self._terminal and (epoch in {1, self._epochs} or now - self._shown >= _EVERY):
            line = f"{self._name}: epoch {epoch}/{self._epochs}, {text}"
            if 1 < epoch < self._epochs:  # the first epoch's time holds TensorFlow's preparation
                left = (now - self._shown) / (epoch - self._shown_epoch) * (self._epochs - epoch)
                line += f", {left:.0f} s left"
            print(line, file=sys.stderr, flush=True)
            self._shown, self._shown_epoch = now, epoch

    def close(self) -> None:
        self._bar.close()
