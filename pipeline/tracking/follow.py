"""The process beside a training: sends its epochs to MLflow, and outlives the training when it dies.

It reads one JSON object a line from the train stage (`pipeline.tracking.watch` writes them):

    {"epoch": 1, "loss": 0.3, ...}   the measures of an epoch
    {"finished": "runs"}             the run's outputs are complete in the folder of runs
    {"ended": "FAILED"}              there will be no outputs; or "KILLED"

The input's end without one of the last two means that the training was killed. Whatever happens here, all
that reaches the training is one line on the output that says what is wrong.
"""

import contextlib
import functools
import json
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline import params
from pipeline.tracking import data, sync
from pipeline.tracking.live_run import LiveRun
from pipeline.tracking.watch import CONNECTED

INTERVAL = 2.0  # seconds between two batches, and until a failed request is tried again
_LAST_TRIES = 10  # of a process whose training was killed, to report that: nobody waits for it any longer


def track(learning_rate: float, seed: int, run_key: str) -> None:
    """Follow the training that writes to this process's input; the train stage starts it, no person does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the training; this process must outlive it
    say = functools.partial(print, flush=True)
    run = (params.load(), data.read(), learning_rate, seed, run_key)
    follow(LiveRun(*run, say, lambda: say(CONNECTED)), sys.stdin)


def follow(live: LiveRun, lines: Iterable[str], *, awaited: bool = True) -> None:
    """Send to MLflow what `lines` hold of a run; prepare the last sync meanwhile if it is `awaited`."""
    messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines, messages), daemon=True).start()
    live.attempt()
    while (last := _collect(messages, live)) is None:
        if awaited:
            awaited = False
            with contextlib.suppress(Exception):  # what fails here fails again at the end, with a warning
                sync.warm_up()
        live.attempt()
    if "finished" in last:
        live.complete(Path(last["finished"]))
    else:
        live.end(last["ended"], _LAST_TRIES if "alone" in last else 1, pause=INTERVAL)


def _read(lines: Iterable[str], messages: "queue.SimpleQueue[dict[str, Any]]") -> None:
    """Take lines as they come: the training must never wait for this process."""
    for line in lines:
        with contextlib.suppress(ValueError):  # a line that the training could not write to its end
            messages.put(json.loads(line))
    messages.put({"ended": "KILLED", "alone": True})


def _collect(messages: "queue.SimpleQueue[dict[str, Any]]", live: LiveRun) -> dict[str, Any] | None:
    """Take what comes within one interval; return the message that ends all, or None."""
    until = time.monotonic() + INTERVAL
    with contextlib.suppress(queue.Empty):
        while True:
            message = messages.get(timeout=max(0.0, until - time.monotonic()))
            if "epoch" not in message:
                return message
            live.add(message)
    return None
