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
    """Attributes:

    signal: the signal that came, or None.
    """

    signal: int | None = None


@contextmanager
def deferred() -> Iterator[Interruption]:
    """Note SIGINT and SIGTERM instead of obeying; a second one is obeyed at once.

    Under DVC (it sets DVC_STAGE) the end of the parent process counts as SIGTERM: DVC does not pass the
    signal that ends it on to the stage, which would train on without anybody waiting for it.
    """
    interruption = Interruption()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _frame: FrameType | None) -> None:
        interruption.signal = number
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, note)
    left = threading.Event()
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_follow_parent, args=(os.getppid(), left, interruption), daemon=True).start()
    try:
        yield interruption
    finally:
        left.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def _follow_parent(parent: int, left: threading.Event, interruption: Interruption) -> None:
    while not left.wait(_PARENT_CHECK):
        if os.getppid() != parent:
            if interruption.signal is None:  # a signal to the whole group reached both; a second one kills
                os.kill(os.getpid(), signal.SIGTERM)
            return
