"""Command `track`: the process beside a training; the train stage starts it, nobody calls it by hand."""

import signal
import sys

from pipeline import params
from pipeline.tracking import address, follow
from pipeline.tracking.tracker import Task


def track(learning_rate: float, seed: int, run_key: str) -> None:
    """Follow the training that writes to this process's input."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # the training says how it ended; this process must outlive it
    task = Task(params.load(), learning_rate, seed, run_key)
    follow.follow(
        task,
        sys.stdin,
        say=lambda text: print(text, flush=True),
        connected=lambda: print(address.CONNECTED, flush=True),
    )
