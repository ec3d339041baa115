"""The process beside a training: sends what it is told to MLflow, and outlives the training when it dies.

It reads one JSON object a line from the train stage (`pipeline.watch` writes them):

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
from typing import Any, NamedTuple

from pipeline.params import Params
from pipeline.tracking import delivery, entry, facts
from pipeline.tracking.entry import Row
from pipeline.tracking.journal import Journal
from pipeline.tracking.owner import BEAT, Owner
from pipeline.tracking.owner import TAG as OWNER
from pipeline.tracking.store import Store, open_store, summary

INTERVAL = 2.0
"""Seconds between two batches, and until a failed request is tried again."""

_TIMEOUT = 10  # seconds for one request to a server; nobody waits for it but this process

_LAST_TRIES = 10
"""How often a process whose training was killed tries to say so: nobody waits for it any longer."""

Say = Callable[[str], None]


class Task(NamedTuple):
    """The run that is being trained."""

    params: Params
    learning_rate: float
    seed: int
    run_key: str


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
    tracker = _Tracker(task, say, connected)
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
        tracker.end(last["ended"], _LAST_TRIES if "alone" in last else 1)


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
        rows += entry.epoch_rows(message)


class _Tracker:
    """Attributes:

    rows: all rows told so far.
    sent: how many of them MLflow has.
    run: MLflow's run; None before the first request succeeds, and where there is nothing to send: another
        process sends the same run, or it is complete already.
    """

    def __init__(self, task: Task, say: Say, connected: Callable[[], None]) -> None:
        self.task = task
        self._connected = connected
        self.rows = [Row("learning_rate", task.learning_rate, 0)]
        self.sent = 0
        self.run: Any = None
        self._store: Store | None = None
        self._idle = self._prepared = False
        self._failures = 0
        self._beaten = time.monotonic()
        self._say: Say | None = say
        self._started = int(time.time() * 1000)
        self._params = entry.run_params(task.params, task.learning_rate, task.seed)
        self._tags = facts.process() | entry.identity_tags(task.params, task.run_key)

    def attempt(self) -> bool:
        """Send what is there; it is tried again the next time, and a second failure in a row is said.

        The first may mean nothing: requests looks through the environment for proxies, which Ray changes
        meanwhile (a KeyError); a server may be starting.
        """
        try:
            self._send()
        except Exception as error:  # whatever MLflow, the network or the disk come up with
            self._failures += 1
            if self._failures > 1:
                self._warn(error)
            return False
        self._failures = 0
        return True

    def prepare(self) -> None:
        """While the training goes on, get ready for its end, when it waits for this process."""
        if not self._prepared:
            self._prepared = True
            with contextlib.suppress(Exception):  # what fails here fails again at the end, and is said there
                delivery.prepare()

    def complete(self, runs: Path) -> None:
        """Deliver the finished run from its outputs; a second failure is said."""
        try:
            before = Journal.read(self.task.run_key)
            journal = Journal(self._started, int(time.time() * 1000), self._tags)
            journal.write(self.task.run_key)  # first: this process may be ended while it waits for a server
            whole = entry.of_run(self.task.params, runs, self.task.learning_rate, self.task.seed)
            try:
                outcome = self._deliver(whole, journal)
            except Exception:
                outcome = self._deliver(whole, journal)  # what is there already is not sent again
            if outcome is delivery.Outcome.UNCHANGED and before:
                before.write(self.task.run_key)  # MLflow keeps telling of the first time, so the note does
        except Exception as error:
            self._warn(error)

    def _deliver(self, whole: entry.Entry, journal: Journal) -> delivery.Outcome:
        store = self._open()
        return delivery.deliver(store, whole, store.find(whole.key), journal)

    def end(self, status: str, tries: int) -> None:
        """There will be no outputs: say how far the run got, and how it ended."""
        for _ in range(tries):
            try:
                self._send()
                if self.run is not None:
                    delivery.finish(self._open(), self.run, status)
            except Exception as error:
                self._warn(error)
            else:
                return
            time.sleep(INTERVAL if tries > 1 else 0)

    def _open(self) -> Store:
        if self._store is None:
            self._store = open_store(self.task.params.data.dataset, retries=0, timeout=_TIMEOUT)
            with contextlib.suppress(OSError):  # the training may be gone
                self._connected()
        return self._store

    def _send(self) -> None:
        store = self._open()
        if self.run is None and not self._idle:
            self._claim(store)
        if self.run is None:
            return
        if self.sent < len(self.rows):
            rows = self.rows[self.sent :]
            delivery.send(store, self.run, rows, None if self.sent else self._params)
            self.sent += len(rows)
        if time.monotonic() - self._beaten > BEAT:
            store.client.set_tag(self.run.info.run_id, OWNER, Owner.myself().tag())
            self._beaten = time.monotonic()

    def _claim(self, store: Store) -> None:
        """Find the run's unfinished predecessor or create a run."""
        task = self.task
        run = delivery.elect(store, store.find(task.run_key))
        if run is not None and (run.info.status == "FINISHED" or delivery.is_busy(run)):
            # The same run once more: what it is worth is seen at its end, when the outputs can be compared.
            self._idle = True
            return
        if run is None:
            name = entry.run_name(task.learning_rate, task.seed)
            self.run = delivery.create(store, task.run_key, name, self._tags, self._started)
            if (
                other := delivery.elect(store, store.find(task.run_key))
            ) and other.info.run_id != self.run.info.run_id:
                self.run, self._idle = None, True
            return
        known = set(delivery.known_rows(store, run))
        told = {(row.key, row.step): row.value for row in self.rows}
        if any(told.get((row.key, row.step), row.value) != row.value for row in known):
            delivery.delete(store, run)  # begun on another processor, which rounds differently
            self._claim(store)
            return
        delivery.resume(store, run, self._tags)
        self._started = run.info.start_time
        self.run = run
        self.sent = 0
        self.rows = [row for row in self.rows if row not in known]

    def _warn(self, error: Exception) -> None:
        if self._say is None:
            return
        say, self._say = self._say, None
        with contextlib.suppress(OSError):  # the training may be gone
            say(
                f"warning: MLflow gets nothing of this run for now ({summary(error)}). Training goes on; "
                "`python -m pipeline publish` delivers what is missing."
            )
