"""Signals that ask the process to stop, held until it can stop without losing work."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_PARENT_CHECK = 0.5  # seconds


@dataclass
class Interruption:
    """The signal that asked the process to stop; None as long as there was none."""

    signal: int | None = None


@contextmanager
def deferred() -> Iterator[Interruption]:
    """Note SIGINT and SIGTERM instead of obeying; a second one is obeyed at once.

    Under DVC (it sets DVC_STAGE) the end of the parent process counts as SIGTERM: DVC does not pass the
    signal that ends it on to the stage, which would train on with nobody waiting for it.
    """
    interruption, ended = Interruption(), threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _frame: FrameType | None) -> None:
        interruption.signal = number
        restore()

    def follow(parent: int) -> None:
        while not ended.wait(_PARENT_CHECK):
            if os.getppid() != parent:
                if interruption.signal is None:  # one to the whole group reached both; a second one kills
                    os.kill(os.getpid(), signal.SIGTERM)
                return

    for number in before:
        signal.signal(number, note)
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=follow, args=(os.getppid(),), daemon=True).start()
    try:
        yield interruption
    finally:
        ended.set()
        restore()
