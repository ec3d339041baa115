"""MLflow while the runs go on: many runs at a time from one process, each followed as the train stage's is.

Where there is an MLflow server, every worker has a `Telling`. A database file takes one writer at a time, so
there the driver hears of the epochs and passes them on to one process of its own, `python -m
pipeline.sweep.live`. Nothing that goes wrong here reaches the training: the outputs hold all, and
`python -m pipeline publish` delivers what is missing.
"""

import contextlib
import json
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from pipeline.core import runs as run_folders
from pipeline.core.errors import ToolError
from pipeline.params import Params

PATIENCE = 60.0
"""Seconds without a sign of work after which the end of a sweep no longer waits for MLflow."""

Report = Callable[[str, str | None], None]
"""Told a run's key with None once that run is done with, and before that with a line if there is trouble."""


class Telling:
    """Follows runs in threads of their own; they wait for MLflow, the training waits for nobody."""

    def __init__(self, params: Params, report: Report) -> None:
        self._params, self._report = params, report
        self._lines: dict[str, queue.SimpleQueue[str]] = {}
        self._threads: list[threading.Thread] = []
        # One delivery at a time: charts are drawn there, and matplotlib's fonts are made for one thread.
        self._turn = threading.Lock()

    def tell(self, learning_rate: float, seed: int, run_key: str, message: Mapping[str, Any]) -> None:
        """Pass on a message as `pipeline.tracking.follow` takes it; an empty one announces the run."""
        if run_key not in self._lines:
            self._lines[run_key] = queue.SimpleQueue()
            arguments = (learning_rate, seed, run_key, self._lines[run_key])
            thread = threading.Thread(target=self._follow, args=arguments, daemon=True)
            self._threads.append(thread)
            thread.start()
        if message:
            self._lines[run_key].put(json.dumps(message))
        if "finished" in message or "ended" in message:
            del self._lines[run_key]

    def finish(self, learning_rate: float, seed: int, run_key: str, written: Mapping[str, bytes]) -> None:
        """Tell that a run has ended with the outputs `written`, which are nowhere on this disk."""
        place = Path(tempfile.mkdtemp(prefix="sweep-"))
        folder = run_folders.folder(place, learning_rate, seed)
        folder.mkdir(parents=True)
        for name, content in written.items():
            (folder / name).write_bytes(content)
        self.tell(learning_rate, seed, run_key, {"finished": str(place), "passing": True})

    def join(self) -> None:
        """Wait until all that was told is delivered."""
        for thread in self._threads:
            thread.join()

    def _follow(self, rate: float, seed: int, key: str, messages: "queue.SimpleQueue[str]") -> None:
        from pipeline.tracking import follow
        from pipeline.tracking.live_run import LiveRun

        ending = _Ending(self._turn)
        try:
            follow.follow(
                LiveRun(self._params, rate, seed, key, lambda text: self._report(key, text)),
                ending.lines(messages),
                awaited=False,
            )
        finally:
            ending.close()
            self._report(key, None)


class _Ending:
    """Lets a run's last message through when it is this run's turn to be delivered."""

    def __init__(self, turn: threading.Lock) -> None:
        self._turn, self._mine, self._passing = turn, False, ""

    def lines(self, messages: "queue.SimpleQueue[str]") -> Iterator[str]:
        while True:
            line = messages.get()
            message = json.loads(line)
            last = "finished" in message or "ended" in message
            if last:
                self._turn.acquire()
                self._mine = True
                self._passing = message["finished"] if message.get("passing") else ""
            yield line
            if last:
                return

    def close(self) -> None:
        if self._mine:
            self._turn.release()
        if self._passing:
            shutil.rmtree(self._passing, ignore_errors=True)


class Teller:
    """The driver's process for a database file; messages go through a thread, so that nobody waits."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.sweep.live"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C is for the driver, which says how the runs ended
        )
        self._messages: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._heard = time.monotonic()
        self._trouble = ""
        self._writer.start()
        self._reader.start()

    def tell(self, learning_rate: float, seed: int, run_key: str, message: Mapping[str, Any]) -> None:
        self._messages.put(json.dumps([learning_rate, seed, run_key, dict(message)]))

    def close(self) -> str:
        """Wait for the last deliveries; return what went wrong, in a line, or nothing."""
        self._messages.put(None)
        self._heard, spent = time.monotonic(), 0.0
        while self._process.poll() is None:
            if (now := self._processor_seconds()) > spent:  # on a busy machine it takes its time
                self._heard, spent = time.monotonic(), now
            if time.monotonic() - self._heard > PATIENCE:
                self._process.kill()
                self._trouble = self._trouble or "it did not answer in time"
            time.sleep(0.02)
        self._reader.join(1.0)
        if self._process.returncode and not self._trouble:
            self._trouble = f"its process ended with {self._process.returncode}"
        return self._trouble

    def _processor_seconds(self) -> float:
        with contextlib.suppress(psutil.Error):
            used = psutil.Process(self._process.pid).cpu_times()
            return float(used.user + used.system)
        return 0.0

    def _write(self) -> None:
        assert self._process.stdin is not None  # noqa: S101 - Popen was asked for it
        with contextlib.suppress(OSError), self._process.stdin as stream:
            while (message := self._messages.get()) is not None:
                stream.write(message + "\n")
                stream.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101
        for line in self._process.stdout:
            self._heard = time.monotonic()
            self._trouble = self._trouble or json.loads(line)[1] or ""


def main() -> None:
    """Follow the runs that the lines of the input tell of; print what `Report` says, a line each."""
    from pipeline import params
    from pipeline.tracking import store

    def report(key: str, text: str | None) -> None:
        print(json.dumps([key, text]), flush=True)

    study = params.load()
    telling = Telling(study, report)
    with contextlib.suppress(ToolError):  # each run says so itself
        store.open_store(study.data.dataset)  # a new database gets its tables once, and not from every run
    open_runs: dict[str, tuple[float, int, str]] = {}
    for line in sys.stdin:
        rate, seed, key, message = json.loads(line)
        open_runs[key] = (rate, seed, key)
        telling.tell(rate, seed, key, message)
        if "finished" in message or "ended" in message:
            del open_runs[key]
    for run in open_runs.values():  # the driver is gone
        telling.tell(*run, {"ended": "KILLED"})
    telling.join()


if __name__ == "__main__":
    main()
