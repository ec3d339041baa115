"""The process that sends live logs to MLflow: one for a store, gone when all is delivered.

Killed at any moment, it is replaced by the next one, which whoever trains next starts: what is sent is known
from the logs and from MLflow alone, and sending it again changes nothing.
"""

import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.core import files
from pipeline.tracking import live_log, record, sync
from pipeline.tracking.live_log import Log
from pipeline.tracking.store import Store, first_line, open_store
from pipeline.tracking.sync import SyncResult

INTERVAL = 2.0  # seconds between two looks at the logs
_RENEWAL = 20.0  # seconds between two signs of life
_PATIENCE = 10  # looks at nothing new, before the next training begins, or at a store that refuses


def follow() -> None:
    """Follow all logs of the store that is set; whoever trains starts this process, no person does."""
    left = list[Path]()
    # A log that came while the lock was being released found it held.
    while any(path not in left or live_log.is_held(path) for path in live_log.paths()):
        try:
            with FileLock(live_log.folder() / "follower.lock", blocking=False):
                left = _deliver_all()
        except Timeout:
            return


def _deliver_all() -> list[Path]:
    """Deliver until there is nothing more to come; return the logs that the store does not take."""
    follower, failures, warned, idle, logs = Follower(), 0, False, 0, list[Path]()
    while idle < _PATIENCE:
        trouble = follower.deliver()
        failures = failures + 1 if trouble else 0
        if failures == 2 and not warned:  # the first may mean nothing, a server may be starting
            note = f"warning: MLflow is not receiving the runs for now ({trouble}). Training goes on; "
            files.write_text(live_log.trouble(), f"{note}`python -m pipeline publish` adds what is missing.")
            warned = True
        time.sleep(INTERVAL)
        logs = live_log.paths()
        idle = 0 if any(map(live_log.is_held, logs)) or (logs and not trouble) else idle + 1
    return logs


class Follower:
    """What a process knows of the logs and of MLflow's runs; a new one finds it out again."""

    def __init__(self) -> None:
        self._stores: dict[str, Store] = {}
        self._runs: dict[Path, LiveRun] = {}

    def deliver(self) -> str:
        """Send what there is of each log; return what went wrong first, or nothing."""
        troubles = []
        for path in live_log.paths():
            try:
                with sync.exclusively():
                    self._deliver(path)
            except Exception as error:  # whatever MLflow, the network or the disk come up with
                self._forget(path)  # what has arrived is found out again
                troubles.append(f"{path.name}: {first_line(error)}")
        return "".join(troubles[:1])

    def _deliver(self, path: Path) -> None:
        if path in self._runs and self._runs[path].log.is_replaced():
            self._forget(path)
        if not path.exists():  # `publish` has delivered it meanwhile
            return
        if path not in self._runs:
            log = Log(path).read()
            self._runs[path] = LiveRun(log, self._open(log.data.task.dataset))
        run = self._runs[path]
        held = live_log.is_held(path)  # asked before reading: what a dead training wrote is all there
        run.log.read()
        if not (held or run.log.status):
            run.log.status, run.log.ended = "KILLED", path.stat().st_mtime_ns // 1_000_000
        run.send()
        if run.log.status and run.end(run.log.status):
            run.log.archive()
            self._forget(path)

    def _open(self, dataset: str) -> Store:
        if dataset not in self._stores:
            self._stores[dataset] = open_store(dataset)
        return self._stores[dataset]

    def _forget(self, path: Path) -> None:
        if path in self._runs:
            self._runs.pop(path).log.close()


class LiveRun:
    """A run in MLflow while it is trained: claimed, filled, and ended as its training was."""

    def __init__(self, log: Log, store: Store) -> None:
        self.log, self._store = log, store
        self._known = set[tuple[str, int]]()  # from an earlier training of the run
        self._run = self._claim()  # None where another machine trains it, or it is complete
        self._renewed = float("-inf")

    def _claim(self) -> Any | None:
        """Go on with the run's unfinished predecessor, or create a run."""
        store, log = self._store, self.log
        run = sync.elect(store, store.find(log.key))
        if run and (run.info.status == "FINISHED" or sync.is_followed_elsewhere(run)):
            # The same run once more: at its end, when the outputs can be compared, it may replace the other.
            return None
        own = {(row.key, row.step): row.value for row in log.rows}
        known = {(row.key, row.step): row.value for row in (sync.known_rows(store, run) if run else ())}
        if any(own.get(key, value) != value for key, value in known.items()):
            sync.delete(store, run)  # begun on another processor, which rounds differently
            run = None
        if run:
            self._known = set(known)
            sync.send(store, run, tags=log.provenance.tags)
            return run
        name, origin = record.run_name(log.learning_rate, log.seed), log.provenance
        run = sync.create(store, log.key, name, origin.tags, origin.started)
        return run if sync.is_elected(store, log.key, run) else None

    def send(self) -> None:
        """Send the epochs that are new, or a sign of life."""
        rows, self.log.rows = self.log.rows, []
        rows = [row for row in rows if (row.key, row.step) not in self._known]
        now = time.monotonic()
        due = now - self._renewed > _RENEWAL
        if self._run and due:  # it is its predecessor's, or somebody took it for dead
            self._store.client.update_run(self._run.info.run_id, status="RUNNING")
            self._renewed = now
        if self._run and (rows or due):
            sync.send(self._store, self._run, rows, self.log.params, sync.sign_of_life(), self.log.times)

    def end(self, status: str) -> bool:
        """End the run, with its outputs if they are there; return False if another process looks after it."""
        log, store = self.log, self._store
        if status == "FINISHED" and log.outputs.exists():
            whole = record.of_run(log.params, log.data, log.outputs, log.learning_rate, log.seed)
            return sync.sync(store, whole, store.find(log.key), log.provenance) is not SyncResult.BUSY
        if self._run:
            sync.finish(store, self._run, status, log.ended)
        return True
