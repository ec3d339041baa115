"""The live log: the file to which a training appends its epochs, and all that it knows of tracking.

`.scratch/live/<run key>.jsonl` begins with what MLflow should show of the run, goes on with a line for each
epoch, and ends with one that says how the training ended. Its writer holds a lock on it: a log without a last
line whose lock is free is that of a training that was killed. One process for all logs of a store
(`pipeline.tracking.follow`) sends them to MLflow at its own pace: no training waits for it, and whatever
becomes of it, of the store or of the disk, the training goes on.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from pydantic import TypeAdapter

from pipeline.core import files, run_keys
from pipeline.core.errors import Interrupted
from pipeline.params import Params
from pipeline.tracking import address, provenance, record
from pipeline.tracking.data import Data
from pipeline.tracking.provenance import Provenance
from pipeline.tracking.record import Row

SWITCH = "STUDY_LIVE_LOGS"
"""The variable that says `off` where nobody will look at the runs, as in the clones of `verify`."""

_START = 'nice -n 10 "$0" -m pipeline follow </dev/null >>"$1" 2>&1 &'  # the cores are for those that train

_IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""The follower looks again in seconds, and says soon that nobody answers."""


def folder() -> Path:
    """Give the folder of the logs for the store that is set now; those for another store lie elsewhere."""
    uri = address.tracking_uri()
    name = "" if uri == address.default_uri() else run_keys.digest(uri)[:12]
    return files.repository().resolve() / ".scratch/live" / name


def paths() -> list[Path]:
    """List the logs that are not delivered yet; one that has just been created still has another name."""
    return sorted(folder().glob("[!.]*.jsonl"))


def is_held(path: Path) -> bool:
    """Decide whether a living process has the file locked."""
    with contextlib.suppress(OSError), path.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two that ask do not see each other
        except BlockingIOError:
            return True
    return False


def start_follower() -> None:
    """Start the process that sends the logs to MLflow, unless it is at work already.

    It belongs to nobody, since it outlives this process: the shell that starts it ends at once.
    """
    if is_held(folder() / "follower.lock"):
        return
    packages = (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", ""))
    subprocess.run(
        ["/bin/sh", "-c", _START, sys.executable, folder() / "follower.log"],
        cwd=files.repository(),
        env=_IMPATIENT | os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, packages))},
        start_new_session=True,  # Ctrl-C in the terminal is for the training
        check=True,
    )


def trouble() -> Path:
    """Give the file in which the follower notes what is wrong with MLflow, for a training to say it, once."""
    return folder() / "trouble"


def now() -> int:
    """Give the time in milliseconds since 1970, as MLflow counts."""
    return time.time_ns() // 1_000_000


def say(text: str) -> None:
    print(f"\n{text}", file=sys.stderr, flush=True)


class LiveLog:
    """The log of one training, as the training writes it; leaving it without `finish` says how it ended.

    Args:
        say: called with what is wrong with MLflow, if anything is; by default it is printed.
    """

    def __init__(
        self,
        study: Params,
        data: Data,
        learning_rate: float,
        seed: int,
        run_key: str,
        say: Callable[[str], object] = say,
    ) -> None:
        self._path, self._trouble, self._say = folder() / f"{run_key}.jsonl", trouble(), say
        self._stream: BinaryIO | None = None
        # Where somebody trains the same run, MLflow shows that training.
        if os.environ.get(SWITCH) == "off" or is_held(self._path):
            return
        header = {
            "learning_rate": learning_rate,
            "seed": seed,
            "params": record.run_params(study, learning_rate, seed),
            "data": data,
            "tags": provenance.process() | record.identity_tags(data),
        }
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            with files.replacing(self._path) as new:  # nobody sees the log before it is locked
                stream = new.open("wb")
                fcntl.flock(stream, fcntl.LOCK_EX)
                _write(stream, header)
            self._stream = stream
            start_follower()

    def epoch(self, epoch: int, measures: Mapping[str, float]) -> None:
        """Append an epoch, counted from 1; NaN and infinity are fine, and a `time` that is not now."""
        self._write({"epoch": epoch, **measures})

    def finish(self, outputs: Path) -> None:
        """Say that the run's folder is complete, and link its files beside the log.

        DVC removes the copies in which it tries experiments, a sweep's worker its folder.
        """
        kept = _kept(self._path)
        if self._stream:
            shutil.rmtree(kept, ignore_errors=True)
            try:
                shutil.copytree(outputs, kept / outputs.parent.name / outputs.name, copy_function=os.link)
            except OSError:  # another file system, or one without links: `publish` adds the files
                shutil.rmtree(kept, ignore_errors=True)
        self.end("FINISHED")

    def end(self, status: str) -> None:
        """Append the last line, with a status of MLflow's, and let go of the log; later calls do nothing."""
        self._write({"status": status})
        if self._stream:
            self._stream.close()
            self._stream = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        stopped = isinstance(error, (Interrupted, KeyboardInterrupt, SystemExit))
        self.end("KILLED" if stopped else "FAILED")

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._stream:
            try:
                _write(self._stream, line)
            except OSError:  # `publish` adds from the outputs what the disk did not take
                self._stream = None
        if self._trouble.exists():
            with contextlib.suppress(OSError):  # another training was quicker
                text = self._trouble.read_text(encoding="utf-8")
                self._trouble.unlink()
                self._say(text)


def _write(stream: BinaryIO, line: Mapping[str, Any]) -> None:
    stream.write(json.dumps({"time": now(), **line}).encode() + b"\n")
    stream.flush()


class Log:
    """A log as it is read, while it grows.

    Attributes:
        rows: of the epochs read, to be sent.
        times: when each epoch ended, in milliseconds since 1970.
        status, ended: how and when the training ended, once the last line is there.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.key = path, path.stem
        self._stream = path.open("rb")
        header = json.loads(self._stream.readline())
        self.learning_rate, self.seed = header["learning_rate"], header["seed"]
        self.params: dict[str, str] = header["params"]
        self.data = TypeAdapter(Data).validate_python(header["data"])
        self.rows = [Row("learning_rate", self.learning_rate, 0)]
        self.times: dict[int, int] = {}
        self.status: str | None = None
        self.ended: int | None = None
        self._origin = Provenance(header["time"], None, header["tags"], self.times)

    def read(self) -> Self:
        """Read on to the last whole line."""
        while (text := self._stream.readline()).endswith(b"\n"):
            line = json.loads(text)
            at = line.pop("time")
            if "status" in line:
                self.status, self.ended = line["status"], at
            elif line["epoch"] > len(self.times):  # a sweep's run that began again repeats some
                self.times[line["epoch"]] = at
                self.rows += record.finite_rows(line)
        self._stream.seek(-len(text), os.SEEK_CUR)
        return self

    def is_replaced(self) -> bool:
        """Decide whether the log is delivered, or another training of the run has begun one of its own."""
        own = os.fstat(self._stream.fileno())
        return not self.path.exists() or not os.path.samestat(self.path.stat(), own)

    @property
    def outputs(self) -> Path:
        """Give the folder of runs in which the run's outputs are, if it has finished."""
        return _kept(self.path)

    @property
    def provenance(self) -> Provenance:
        return self._origin._replace(ended=self.ended)

    def close(self) -> None:
        self._stream.close()

    def archive(self) -> None:
        """Keep the log for the day on which MLflow's store is lost; what lay beside it is delivered."""
        if not self.is_replaced():
            (archive := _archived(self.key)).parent.mkdir(parents=True, exist_ok=True)
            self.path.replace(archive)
            shutil.rmtree(self.outputs, ignore_errors=True)


def archived(run_key: str) -> Provenance | None:
    """Read what a run's log said, once it is delivered; None if no training here finished the run."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        log = Log(_archived(run_key)).read()
        log.close()
        return log.provenance if log.status == "FINISHED" else None
    return None


def _kept(log: Path) -> Path:
    return log.with_suffix("")


def _archived(run_key: str) -> Path:
    return files.repository().resolve() / ".scratch/tracking" / f"{run_key}.jsonl"
