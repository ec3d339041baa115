"""What happens inside a task: a run, in a process that keeps TensorFlow, the data and the graph for the next.

Knows no Ray and no DVC; the driver may be on another machine, and nothing of its disk needs to be here.
"""

import importlib.metadata
import os
import platform
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pipeline
from pipeline.core import files, run_keys
from pipeline.core import runs as run_folders
from pipeline.core.errors import Interrupted, ToolError
from pipeline.params import Params
from pipeline.sweep.live import Telling
from pipeline.tools import machine
from pipeline.train import signals
from pipeline.train.images import Images

_BEAT = 1.0
"""Seconds between two messages of a run at least: a driver of thousands of runs reads them all."""

Arrays = Mapping[str, Images]
"""By part: `train`, `validation`, `test`."""


class Study(NamedTuple):
    """What all runs share.

    Attributes:
        inputs: of `run_keys.inputs`.
        root: the driver's repository; used if it is there, as on a shared disk.
        tracking_uri: of the MLflow server that workers talk to themselves; None leaves it to the driver.
        gpus: the share of a GPU that a run has; 0 trains on the CPU.
    """

    params: Params
    inputs: Mapping[str, Any]
    root: str
    tracking_uri: str | None
    gpus: float


class Run(NamedTuple):
    """One run of the study."""

    number: int
    learning_rate: float
    seed: int
    run_key: str


class Finished(NamedTuple):
    """Attributes:

    files: the content of the run's folder.
    beyond: seconds that the run took beyond its epochs, each of them taken for the median one.
    machine: `machine.describe` of where it was trained.
    """

    files: dict[str, bytes]
    beyond: float
    machine: dict[str, str]


Post = Callable[[Mapping[str, Any]], None]


def train(study: Study, arrays: Arrays, run: Run, post: Post) -> Finished | None:
    """Train a run; the first one in a process sets it up.

    Args:
        post: sends the driver a message, and waits for nothing.

    Returns:
        None if it was interrupted; its checkpoint holds all epochs done.

    Raises:
        ToolError: this machine has other code or other packages than the driver.
    """
    global _desk  # noqa: PLW0603 - a worker is a process; this is what it keeps
    if _desk is None:
        _desk = _Desk(study, arrays, post)
    try:
        return _desk.train(run)
    except Interrupted:
        return None


class _Desk:
    """The process's TensorFlow, trainer and connection to MLflow."""

    def __init__(self, study: Study, arrays: Arrays, post: Post) -> None:
        _check_code(study.inputs)
        _check_packages(study.inputs)
        os.environ["DVC_ROOT"] = str(_root(study))  # checkpoints and notes for `publish` belong there
        self._visible = _visible_gpus()
        from pipeline.train import backend
        from pipeline.train.runner import Runner

        backend.configure(study.params.train.threads)
        device = backend.describe_device()
        if study.gpus and device == "CPU":
            raise ToolError(
                f"{platform.node()}: expected a GPU, TensorFlow finds none. Install its CUDA packages there "
                "(`tensorflow[and-cuda]` has them), or leave out --gpus-per-run."
            )
        self._post = post
        self._machine = machine.describe(device)
        self._runner = Runner(study.params, arrays)
        self._telling: Telling | None = None
        if study.tracking_uri:
            os.environ["MLFLOW_TRACKING_URI"] = study.tracking_uri
            self._telling = Telling(study.params, lambda key, text: post({"mlflow": key, "trouble": text}))

    def train(self, run: Run) -> Finished:
        if _visible_gpus() != self._visible:
            # TensorFlow stays on the GPU it began with. Ray gives the run to another process.
            os._exit(1)
        started, reporter = time.perf_counter(), _Reporter(run, self._post, self._telling)
        try:
            with signals.deferred() as interruption, tempfile.TemporaryDirectory(prefix="sweep-") as scratch:
                folder = run_folders.folder(Path(scratch), run.learning_rate, run.seed)
                self._runner.run(
                    run.learning_rate, run.seed, run.run_key, folder, interruption, reporter.epoch
                )
                written = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
        except BaseException as error:
            reporter.end("KILLED" if isinstance(error, Interrupted) else "FAILED")
            raise
        reporter.finish(written)
        beyond = time.perf_counter() - started - reporter.epochs_took()
        return Finished(written, beyond, self._machine)


_desk: _Desk | None = None


class _Reporter:
    """Tells of a run's epochs: MLflow of each at once, the driver of several together."""

    def __init__(self, run: Run, post: Post, telling: Telling | None) -> None:
        self._run, self._post, self._telling = run, post, telling
        self._rows: list[dict[str, float]] = []
        self._posted = time.perf_counter()
        self._ends = [self._posted]
        post({"run": run.number, "started": platform.node()})
        self._tell({})

    def epoch(self, epoch: int, measures: Mapping[str, float]) -> None:
        row = {"epoch": float(epoch), **measures}
        self._tell(row)
        self._rows.append(row)
        now = time.perf_counter()
        self._ends.append(now)
        if now - self._posted >= _BEAT:
            self._post({"run": self._run.number, "epochs": self._rows})
            self._rows, self._posted = [], now

    def epochs_took(self) -> float:
        """Seconds. The first epoch's share is the others': it also drew the weights, or traced the graph."""
        return float(np.median(np.diff(self._ends))) * (len(self._ends) - 1)

    def finish(self, written: Mapping[str, bytes]) -> None:
        if self._telling:
            self._telling.finish(self._run.learning_rate, self._run.seed, self._run.run_key, written)

    def end(self, status: str) -> None:
        self._tell({"ended": status})

    def _tell(self, message: Mapping[str, Any]) -> None:
        if self._telling:
            self._telling.tell(self._run.learning_rate, self._run.seed, self._run.run_key, message)


def _check_code(inputs: Mapping[str, Any]) -> None:
    """The code here must be what the run key says; a machine may have another checkout."""
    here = Path(pipeline.__file__).resolve().parents[1]
    for name, expected in inputs["files"].items():
        if name.startswith("pipeline/") and files.sha256(here / name) != expected:
            raise ToolError(
                f"{platform.node()}, {here / name}: expected the driver's code, got another version. "
                "Do not edit the code while a sweep runs; start it again."
            )


def _check_packages(inputs: Mapping[str, Any]) -> None:
    for pin in inputs["packages"]:
        package, _, expected = pin.partition("==")
        try:
            found = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        if found != expected:
            raise ToolError(
                f"{platform.node()}: expected {pin}, got {package} {found}. Every machine needs the packages "
                "of requirements/ray.txt."
            )


def _root(study: Study) -> Path:
    """The repository where there is one disk for all, else a place of this machine's own."""
    root = Path(study.root)
    if (root / "dvc.yaml").is_file():
        return root
    own = Path(tempfile.gettempdir()) / f"sweep-{run_keys.digest(dict(study.inputs))[:16]}"
    own.mkdir(mode=0o700, exist_ok=True)
    found = own.lstat()  # everybody can work out the name: another user's checkpoints are not ours
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ToolError(
            f"{platform.node()}, {own}: expected a folder that is this user's alone, got another. Remove it, "
            "or set TMPDIR to a folder of this user's own."
        )
    return own


def _visible_gpus() -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")
