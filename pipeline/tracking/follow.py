"""The process beside a training: sends what it is told to MLflow, and outlives the training when it dies.

It reads one JSON object a line from the train stage (`pipeline.tracking.watch` writes them):

    {"epoch": 1, "loss": 0.3, ...}   the measures of an epoch
    {"finished": "runs"}             the run's outputs are complete in the folder of runs
    {"ended": "FAILED"}              there will be no outputs; or "KILLED"

The input's end without one of the last two means that the training was killed. Nothing that happens here may
reach the training but one line on the output that says what is wrong.
"""

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pipeline.tracking import record
from pipeline.tracking.record import Row
from pipeline.tracking.tracker import Say, Task, Tracker

INTERVAL = 2.0
"""Seconds between two batches, and until a failed request is tried again."""

_LAST_TRIES = 10
"""How often a process whose training was killed tries to say so: nobody waits for it any longer."""


def follow(
    task: Task,
    lines: Iterable[str],
    say: Say,
    connected: Callable[[], None] = lambda: None,
    *,
    awaited: bool = True,
) -> None:
    """Deliver what `lines` tell until they end.

    Args:
        say: called at most once, with what is wrong and what to do.
        connected: called once the store has answered.
        awaited: whether somebody waits for the last delivery, so that it is to be prepared meanwhile.
    """
    messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines, messages), daemon=True).start()
    tracker = Tracker(task, say, connected)
    while True:
        tracker.attempt()
        last = _collect(messages, tracker.rows)
        if last is not None:
            break
        if awaited:
            tracker.prepare()
    if "finished" in last:
        tracker.complete(Path(last["finished"]))
    else:
        tracker.end(last["ended"], _LAST_TRIES if "alone" in last else 1, pause=INTERVAL)


def _read(lines: Iterable[str], messages: "queue.SimpleQueue[dict[str, Any]]") -> None:
    """Always ready to take a line: the training must never wait for this process."""
    for line in lines:
        with contextlib.suppress(ValueError):  # a line that the training could not write to its end
            messages.put(json.loads(line))
    messages.put({"ended": "KILLED", "alone": True})


def _collect(messages: "queue.SimpleQueue[dict[str, Any]]", rows: list[Row]) -> dict[str, Any] | None:
    """Take what comes within one interval; the message that ends all, or None."""
    until = time.monotonic() + INTERVAL
    while True:
        try:
            message = messages.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            return None
        if "epoch" not in message:
            return message
        rows += record.epoch_rows(message)
