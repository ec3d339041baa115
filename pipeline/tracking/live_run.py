"""A run in MLflow while it is trained: claimed, filled, and ended as its training did."""

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.params import Params
from pipeline.tracking import address, provenance, record, sync
from pipeline.tracking.data import Data
from pipeline.tracking.lease import RENEWAL, Lease
from pipeline.tracking.provenance import Provenance
from pipeline.tracking.record import Row
from pipeline.tracking.store import Store, first_line, open_store
from pipeline.tracking.sync import SyncResult


class LiveRun:
    """What MLflow gets of a run until its outputs are there.

    `warn` is called at most once, with what is wrong and what to do; `connected` once the store has answered.
    """

    def __init__(
        self,
        params: Params,
        data: Data,
        learning_rate: float,
        seed: int,
        run_key: str,
        warn: Callable[[str], object],
        connected: Callable[[], object] = lambda: None,
    ) -> None:
        self._params, self._data = params, data
        self._rate, self._seed, self._key = learning_rate, seed, run_key
        self._warn, self._connected, self._warned = warn, connected, False
        self._store: Store | None = None
        self._claimed = False
        self._mlflow_run: Any = None  # none also where another process sends the same run, or it is complete
        self._failures = self._sent = 0
        self._rows = [Row("learning_rate", learning_rate, 0)]
        self._renewed = time.monotonic()
        self._started = _now()
        self._tags = provenance.process() | record.identity_tags(data)

    def add(self, measures: Mapping[str, Any]) -> None:
        """Keep an epoch's measures for the next attempt."""
        self._rows += record.finite_rows(measures)

    def attempt(self, action: Callable[[], object] | None = None) -> bool:
        """Send what is there, or do `action`; a second failure in a row gives a warning.

        The first may mean nothing: requests looks through the environment for proxies, which Ray changes
        meanwhile (a KeyError); a server may be starting. Return whether it went well.
        """
        try:
            (action or self._send)()
        except Exception as error:  # whatever MLflow, the network or the disk come up with
            self._failures += 1
            if self._failures > 1 and not self._warned:
                self._warned = True
                with contextlib.suppress(OSError):  # the training may be gone
                    self._warn(
                        f"warning: MLflow is not receiving this run for now ({first_line(error)}). "
                        f"Training goes on; {address.REMEDY}"
                    )
            return False
        self._failures = 0
        return True

    def complete(self, runs: Path) -> None:
        """Sync the finished run from its outputs under `runs`; what is there already is not sent again."""
        before = Provenance.read(self._key)
        origin = Provenance(self._started, _now(), self._tags)

        def bring() -> None:
            origin.write(self._key)  # first: this process may be ended while it waits for a server
            whole = record.of_run(self._params, self._data, runs, self._rate, self._seed)
            store = self._open()
            result = sync.sync(store, whole, store.find(self._key), origin)
            if result is SyncResult.UNCHANGED and before:
                before.write(self._key)  # MLflow keeps showing the first time, so the note does

        self._failures = 0
        if not self.attempt(bring):
            self.attempt(bring)

    def end(self, status: str, tries: int, *, pause: float) -> None:
        """Send how far the run got, and how it ended: there will be no outputs."""

        def finish() -> None:
            self._send()
            if self._mlflow_run is not None:
                sync.finish(self._open(), self._mlflow_run, status)

        self._failures = 1  # no failure is the first: none may go without a warning
        while not self.attempt(finish) and (tries := tries - 1):
            time.sleep(pause)

    def _open(self) -> Store:
        if self._store is None:
            self._store = open_store(self._params.data.dataset, retries=0, timeout=10)
            with contextlib.suppress(OSError):  # the training may be gone
                self._connected()
        return self._store

    def _send(self) -> None:
        store = self._open()
        if not self._claimed:
            self._mlflow_run = self._claim(store)
            self._claimed = True
        if self._mlflow_run is None:
            return
        rows = self._rows[self._sent :]
        if rows or time.monotonic() - self._renewed > RENEWAL:
            values = {} if self._sent else record.run_params(self._params, self._rate, self._seed)
            sync.send(store, self._mlflow_run, rows, values, Lease.of_this_process().tag())
            self._sent += len(rows)
            self._renewed = time.monotonic()

    def _claim(self, store: Store) -> Any | None:
        """Go on with the run's unfinished predecessor, or create a run."""
        run = sync.elect(store, store.find(self._key))
        if run and (run.info.status == "FINISHED" or sync.is_busy(run)):
            # The same run once more: at its end, when the outputs can be compared, it may replace the other.
            return None
        own = {(row.key, row.step): row.value for row in self._rows}
        known = sync.known_rows(store, run) if run else []
        if any(own.get((row.key, row.step), row.value) != row.value for row in known):
            sync.delete(store, run)  # begun on another processor, which rounds differently
            run = None
        if run:
            store.client.update_run(run.info.run_id, status="RUNNING")
            sync.send(store, run, tags=self._tags | Lease.of_this_process().tag())
            self._started = run.info.start_time
            return run
        name = record.run_name(self._rate, self._seed)
        run = sync.create(store, self._key, name, self._tags, self._started)
        return run if sync.is_elected(store, self._key, run) else None


def _now() -> int:
    """Give the time in milliseconds since 1970, as MLflow counts."""
    return time.time_ns() // 1_000_000
