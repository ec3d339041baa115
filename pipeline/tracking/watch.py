"""The train stage's side of tracking: tells a process of its own what happens, and never waits for it.

MLflow is imported there, at the same time as TensorFlow is here. Whatever becomes of that process, of the
store or of the network, the training goes on, one line says what is wrong, and the outputs hold everything
that `python -m pipeline publish` needs.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pipeline.core.errors import Interrupted
from pipeline.tracking import address
from pipeline.tracking.address import CONNECTED

_PATIENCE_REMOTE = 1.0
"""Seconds that the end of a training waits for a server, at most. If the server has answered before, the
process then goes on alone."""

_PATIENCE_LOCAL = 60.0
"""Seconds that it waits where there is no server that can be down, only work to be done: a second or two,
unless other trainings keep the processors or the database file busy."""

_WARNING = "warning: "
_REMEDY = "`python -m pipeline publish` delivers what is missing."


class Watcher:
    """Tells the tracking process about one training."""

    def __init__(self, process: "subprocess.Popen[bytes] | None") -> None:
        self._process = process
        self._last_line = ""
        self._warned = self._connected = False
        # Its own way to stderr: while TensorFlow is imported, what is written there is held back.
        self._stderr = os.dup(2)
        self._listener = threading.Thread(target=self._listen, args=(process,), daemon=True)
        self._listener.start()

    def epoch(self, measures: Mapping[str, float]) -> None:
        """Tell of an epoch: its number, from 1, as `epoch`, and its measures; NaN and infinity are fine."""
        self._tell(dict(measures))

    def finish(self, folder: Path) -> None:
        """Tell that the run's outputs are complete in `folder`, and give the process time to deliver them."""
        # The process looks for the folder by its rate and seed, two levels up.
        self._leave({"finished": str(folder.parent.parent.resolve())})

    def end(self, status: Literal["FAILED", "KILLED"]) -> None:
        """Tell that there will be no outputs. After `finish` it does nothing."""
        self._leave({"ended": status})

    def _tell(self, message: dict[str, Any]) -> None:
        if self._process is None:
            return
        # A pipe takes a line of this length as a whole or not at all. It holds hundreds of them while the
        # process starts; if it is full, the process stands still, and the training will not wait for it.
        try:
            os.write(_input(self._process), json.dumps(message).encode() + b"\n")
        except OSError:
            self._process.kill()
            self._close()

    def _leave(self, message: dict[str, Any]) -> None:
        self._tell(message)
        if self._process is None:
            return
        _close_input(self._process)
        remote = address.is_remote(address.tracking_uri())
        try:
            self._process.wait(_PATIENCE_REMOTE if remote else _PATIENCE_LOCAL)
        except subprocess.TimeoutExpired:
            if remote and self._connected and not self._warned:
                self._process = None
                self._print(
                    "note: MLflow's server is still taking in this run, and the training does not wait. "
                    f"Should it not get through, {_REMEDY}"
                )
                return
            self._process.kill()
        self._close()

    def _close(self) -> None:
        """The process has ended or was ended: report it, unless it went well."""
        process, self._process = self._process, None
        if process is None:
            return
        _close_input(process)
        code = process.wait()
        self._listener.join(1.0)
        if code != 0:
            reason = self._last_line if code > 0 else "it did not answer in time"
            self._print(
                f"{_WARNING}MLflow did not get all of this run ({reason or f'exit code {code}'}). "
                f"Training is not affected; {_REMEDY}"
            )

    def _listen(self, process: "subprocess.Popen[bytes] | None") -> None:
        for line in io.TextIOWrapper(process.stdout) if process and process.stdout else ():
            if line.strip() == CONNECTED:
                self._connected = True
            elif line.startswith(_WARNING):
                self._print(line.strip())
            elif line.strip():
                self._last_line = line.strip()

    def _print(self, line: str) -> None:
        if not self._warned:
            self._warned = True
            os.write(self._stderr, f"\n{line}\n".encode())


@contextlib.contextmanager
def watching(learning_rate: float, seed: int, run_key: str) -> Iterator[Watcher]:
    """Start the tracking process; on leaving without `Watcher.finish`, say how the training ended."""
    watcher = Watcher(_start(learning_rate, seed, run_key))
    try:
        yield watcher
    except (Interrupted, KeyboardInterrupt, SystemExit):
        watcher.end("KILLED")
        raise
    except BaseException:
        watcher.end("FAILED")
        raise
    watcher.end("FAILED")


def _start(learning_rate: float, seed: int, run_key: str) -> "subprocess.Popen[bytes] | None":
    command = [sys.executable, "-m", "pipeline", "track"]
    command += ["--learning_rate", str(learning_rate), "--seed", str(seed), "--run_key", run_key]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is for the training, which says how it ended
        )
    except OSError as error:
        print(f"{_WARNING}MLflow gets nothing of this run ({error}); {_REMEDY}", file=sys.stderr)
        return None
    os.set_blocking(_input(process), False)
    return process


def _input(process: "subprocess.Popen[bytes]") -> int:
    if process.stdin is None or process.stdin.closed:
        raise BrokenPipeError
    return process.stdin.fileno()


def _close_input(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
