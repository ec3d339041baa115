"""The train stage's side of tracking: passes epochs on to a process of its own, and never waits for it.

MLflow is imported there, at the same time as TensorFlow is here. Whatever becomes of that process, of the
store or of the network, the training goes on, one line says what is wrong, and the outputs hold everything
that `python -m pipeline publish` needs.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pipeline.core.errors import Interrupted
from pipeline.tracking import address

CONNECTED = "connected"  # what the tracking process prints once the store has answered
_PATIENCE_REMOTE = 1.0  # seconds that a training waits for a server at its end
_PATIENCE_LOCAL = 60.0  # and for a local store, which is never down, only slow on a busy machine
_WARNING = "warning: "


class Watcher:
    """The train stage's connection to the tracking process, for one training."""

    def __init__(self, learning_rate: float, seed: int, run_key: str) -> None:
        self._last_line = ""
        self._warned = self._connected = False
        # Its own way to stderr: while TensorFlow is imported, what is written there is held back.
        self._stderr = os.dup(2)
        run = ("--learning_rate", str(learning_rate), "--seed", str(seed), "--run_key", run_key)
        self._process: Any = None  # a Popen, as long as there is something to pass on
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipeline", "track", *run],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for the training, which says how it ended
            )
        except OSError as error:
            self._print(f"{_WARNING}MLflow receives nothing of this run ({error}); {address.REMEDY}")
            return
        os.set_blocking(self._process.stdin.fileno(), False)
        self._listener = threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._listener.start()

    def epoch(self, measures: dict[str, Any]) -> None:
        """Pass on an epoch: its number, from 1, as `epoch`, and its measures; NaN and infinity are fine."""
        if self._process is None:
            return
        # A pipe takes a line of this length as a whole or not at all. It holds hundreds of them while the
        # process starts; if it is full, the process stands still, and the training will not wait for it.
        try:
            os.write(self._process.stdin.fileno(), json.dumps(measures).encode() + b"\n")
        except OSError:
            self._process.kill()
            self._close()

    def finish(self, folder: Path) -> None:
        """Pass on that the run's outputs are complete in `folder`, and give the process time to sync them."""
        # The process looks for the folder by its rate and seed, two levels up.
        self.end({"finished": str(folder.parent.parent.resolve())})

    def end(self, message: dict[str, Any]) -> None:
        """Pass on the last message (see `pipeline.tracking.follow`); a second one goes nowhere."""
        self.epoch(message)
        if self._process is None:
            return
        self._process.stdin.close()
        remote = address.is_remote(address.tracking_uri())
        try:
            self._process.wait(_PATIENCE_REMOTE if remote else _PATIENCE_LOCAL)
        except subprocess.TimeoutExpired:
            if remote and self._connected and not self._warned:
                self._process = None
                self._print(
                    "note: MLflow's server is still receiving this run, and the training does not wait. "
                    f"If that fails, {address.REMEDY}"
                )
                return
            self._process.kill()
        self._close()

    def _close(self) -> None:
        """Report how the process ended, unless it went well."""
        process, self._process = self._process, None
        process.stdin.close()
        code = process.wait()
        self._listener.join(1.0)
        if code != 0:
            reason = self._last_line or f"exit code {code}" if code > 0 else "it did not answer in time"
            self._print(
                f"{_WARNING}MLflow did not receive all of this run ({reason}). "
                f"Training is not affected; {address.REMEDY}"
            )

    def _listen(self, output: IO[bytes]) -> None:
        for line in (raw.decode(errors="replace").strip() for raw in output):
            if line == CONNECTED:
                self._connected = True
            elif line.startswith(_WARNING):
                self._print(line)
            elif line:
                self._last_line = line

    def _print(self, line: str) -> None:
        if not self._warned:
            self._warned = True
            os.write(self._stderr, f"\n{line}\n".encode())


@contextlib.contextmanager
def watching(learning_rate: float, seed: int, run_key: str) -> Iterator[Watcher]:
    """Start the tracking process; on leaving without `Watcher.finish`, pass on how the training ended."""
    watcher = Watcher(learning_rate, seed, run_key)
    try:
        yield watcher
    except (Interrupted, KeyboardInterrupt, SystemExit):
        watcher.end({"ended": "KILLED"})
        raise
    finally:
        watcher.end({"ended": "FAILED"})
