"""MLflow while the runs go on: many runs at a time from one process, each followed as the train stage's is.

Where there is an MLflow server, every worker has `RunFollowers`. A database file takes one writer at a time,
so there the driver gets the epochs, and passes them on to one process of its own, `python -m
pipeline.sweep.live`. Nothing that goes wrong here reaches the training: the outputs hold all, and
`python -m pipeline publish` adds what is missing.
"""

import contextlib
import json
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from pipeline.core.errors import ToolError
from pipeline.params import Params
from pipeline.sweep import SweepRun
from pipeline.tracking.data import Data

PATIENCE = 60.0
"""Seconds without a sign of work after which the end of a sweep no longer waits for MLflow."""

Message = Mapping[str, Any]
"""As `pipeline.tracking.follow` takes it; an empty one announces a run. `temporary` marks a folder of runs
that is to be removed once it is synced."""


class RunFollowers:
    """Followers of runs in threads of their own; they wait for MLflow, the training waits for nobody.

    Args:
        report: called with a run's key and a line if there is trouble, then with None once it is done with.
    """

    def __init__(self, study: Params, data: Data, report: Callable[[str, str | None], None]) -> None:
        self._study, self._data, self._report = study, data, report
        self._queues: dict[str, queue.SimpleQueue[dict[str, Any]]] = {}
        self._threads: list[threading.Thread] = []
        # One sync at a time: charts are drawn there, and matplotlib's fonts are made for one thread.
        self._syncing = threading.Lock()

    def send(self, run: SweepRun, message: Message) -> None:
        if run.run_key not in self._queues:
            self._queues[run.run_key] = queue.SimpleQueue()
            thread = threading.Thread(target=self._follow, args=(run, self._queues[run.run_key]), daemon=True)
            self._threads.append(thread)
            thread.start()
        if message:
            self._queues[run.run_key].put(dict(message))
        if _is_last(message):
            del self._queues[run.run_key]

    def join(self) -> None:
        """Wait until all is sent."""
        for thread in self._threads:
            thread.join()

    def _follow(self, run: SweepRun, messages: "queue.SimpleQueue[dict[str, Any]]") -> None:
        from pipeline.tracking import follow
        from pipeline.tracking.live_run import LiveRun

        with contextlib.ExitStack() as stack:
            stack.callback(self._report, run.run_key, None)

            def lines() -> Iterator[str]:
                while True:
                    message = messages.get()
                    if message.pop("temporary", False):
                        stack.callback(shutil.rmtree, message["finished"], ignore_errors=True)
                    if _is_last(message):
                        stack.enter_context(self._syncing)
                    yield json.dumps(message)
                    if _is_last(message):
                        return

            live_run = LiveRun(
                self._study, self._data, *run, lambda trouble: self._report(run.run_key, trouble)
            )
            follow.follow(live_run, lines(), awaited=False)


class FollowerProcess:
    """The driver's process for a database file. A thread writes to it, so that nobody waits."""

    def __init__(self) -> None:
        self._process = psutil.Popen(
            [sys.executable, "-m", "pipeline.sweep.live"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C is for the driver, which says how the runs ended
        )
        self._writer = ThreadPoolExecutor(1)

    def send(self, run: SweepRun, message: Message) -> None:
        self._writer.submit(self._write, json.dumps([*run, dict(message)]) + "\n")

    def _write(self, line: str) -> None:
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def close(self) -> None:
        """Wait for the last syncs; warn of what went wrong."""
        self._writer.submit(self._process.stdin.close)
        active, spent, trouble = time.monotonic(), 0.0, ""
        while self._process.poll() is None:
            with contextlib.suppress(psutil.Error):
                used = sum(self._process.cpu_times()[:2])  # on a busy machine it takes its time
                if used > spent:
                    active, spent = time.monotonic(), used
            if time.monotonic() - active > PATIENCE:
                self._process.kill()
                trouble = "it did not answer in time"
            time.sleep(0.02)
        trouble = trouble or self._process.stdout.readline().strip()
        code = self._process.returncode
        warn(trouble or (f"its process ended with {code}" if code else ""))


def warn(trouble: str) -> None:
    """Say that MLflow lacks something, if there is trouble."""
    if trouble:
        print(
            f"warning: MLflow did not get everything ({trouble}). The outputs are complete; "
            "`python -m pipeline publish` adds what is missing.",
            file=sys.stderr,
        )


def _is_last(message: Message) -> bool:
    return "finished" in message or "ended" in message


def main() -> None:
    """Follow the runs that the lines of the input name; print in the end what went wrong first."""
    from pipeline import params
    from pipeline.tracking import data, store

    study, troubles = params.load(), list[str]()
    followers = RunFollowers(
        study, data.read(), lambda _, trouble: troubles.append(trouble) if trouble else None
    )
    with contextlib.suppress(ToolError):  # each run says so itself
        store.open_store(study.data.dataset)  # a new database gets its tables once, and not from every run
    unended = set[SweepRun]()
    for line in sys.stdin:
        *names, message = json.loads(line)
        run = SweepRun(*names)
        followers.send(run, message)
        (unended.discard if _is_last(message) else unended.add)(run)
    for run in unended:  # the driver is gone
        followers.send(run, {"ended": "KILLED"})
    followers.join()
    print(*troubles[:1])


if __name__ == "__main__":
    main()
