"""One run in MLflow while it is trained: claimed, filled, and ended as its training did."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.params import Params
from pipeline.tracking import facts, record, sync
from pipeline.tracking.journal import Journal
from pipeline.tracking.lease import BEAT, Owner
from pipeline.tracking.lease import TAG as OWNER
from pipeline.tracking.record import Row
from pipeline.tracking.store import Store, open_store, summary

_TIMEOUT = 10  # seconds for one request to a server; nobody waits for it but this process

Say = Callable[[str], None]


class Task(NamedTuple):
    """The run that is being trained."""

    params: Params
    learning_rate: float
    seed: int
    run_key: str


class Tracker:
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
        self._params = record.run_params(task.params, task.learning_rate, task.seed)
        self._tags = facts.process() | record.identity_tags(task.params, task.run_key)

    def attempt(self) -> None:
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
        else:
            self._failures = 0

    def prepare(self) -> None:
        """While the training goes on, get ready for its end, when it waits for this process."""
        if not self._prepared:
            self._prepared = True
            with contextlib.suppress(Exception):  # what fails here fails again at the end, and is said there
                sync.prepare()

    def complete(self, runs: Path) -> None:
        """Deliver the finished run from its outputs; a second failure is said."""
        try:
            before = Journal.read(self.task.run_key)
            journal = Journal(self._started, int(time.time() * 1000), self._tags)
            journal.write(self.task.run_key)  # first: this process may be ended while it waits for a server
            whole = record.of_run(self.task.params, runs, self.task.learning_rate, self.task.seed)
            try:
                outcome = self._deliver(whole, journal)
            except Exception:
                outcome = self._deliver(whole, journal)  # what is there already is not sent again
            if outcome is sync.Outcome.UNCHANGED and before:
                before.write(self.task.run_key)  # MLflow keeps telling of the first time, so the note does
        except Exception as error:
            self._warn(error)

    def _deliver(self, whole: record.Entry, journal: Journal) -> sync.Outcome:
        store = self._open()
        return sync.deliver(store, whole, store.find(whole.key), journal)

    def end(self, status: str, tries: int, *, pause: float) -> None:
        """There will be no outputs: say how far the run got, and how it ended."""
        for _ in range(tries):
            try:
                self._send()
                if self.run is not None:
                    sync.finish(self._open(), self.run, status)
            except Exception as error:
                self._warn(error)
            else:
                return
            time.sleep(pause if tries > 1 else 0)

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
            sync.send(store, self.run, rows, None if self.sent else self._params)
            self.sent += len(rows)
        if time.monotonic() - self._beaten > BEAT:
            store.client.set_tag(self.run.info.run_id, OWNER, Owner.myself().tag())
            self._beaten = time.monotonic()

    def _claim(self, store: Store) -> None:
        """Find the run's unfinished predecessor or create a run."""
        task = self.task
        run = sync.elect(store, store.find(task.run_key))
        if run is not None and (run.info.status == "FINISHED" or sync.is_busy(run)):
            # The same run once more: what it is worth is seen at its end, when the outputs can be compared.
            self._idle = True
            return
        if run is None:
            name = record.run_name(task.learning_rate, task.seed)
            self.run = sync.create(store, task.run_key, name, self._tags, self._started)
            if (
                other := sync.elect(store, store.find(task.run_key))
            ) and other.info.run_id != self.run.info.run_id:
                self.run, self._idle = None, True
            return
        known = set(sync.known_rows(store, run))
        told = {(row.key, row.step): row.value for row in self.rows}
        if any(told.get((row.key, row.step), row.value) != row.value for row in known):
            sync.delete(store, run)  # begun on another processor, which rounds differently
            self._claim(store)
            return
        sync.resume(store, run, self._tags)
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
