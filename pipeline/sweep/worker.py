"""What happens inside a task: a run, in a process that keeps TensorFlow, the data and the graph for the next.

Knows no Ray and no DVC; the driver may be on another machine, and nothing of its disk needs to be here.
"""

import contextlib
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
from pipeline.core.network_files import NetworkFile
from pipeline.params import Params
from pipeline.sweep import Message, SweepRun
from pipeline.tracking import live_log
from pipeline.tracking.data import Data
from pipeline.tracking.live_log import LiveLog
from pipeline.train import signals
from pipeline.train.examples import Examples

_INTERVAL = 1.0
"""Seconds between two messages of a run at least: a driver of thousands of runs reads them all."""


class SweepStudy(NamedTuple):
    """What all runs share.

    Attributes:
        inputs: of `run_keys.inputs`.
        network: its text, since a worker need not have the file.
        root: the driver's repository; used if it is there, as on a shared disk.
        tracking_uri: of the MLflow server to which each node delivers; None leaves it to the driver.
        gpus: the share of a GPU that a run has; 0 trains on the CPU.
    """

    params: Params
    inputs: Mapping[str, Any]
    network: NetworkFile
    data: Data
    root: str
    tracking_uri: str | None
    gpus: float


class Trained(NamedTuple):
    """A run that has been trained to its end.

    Attributes:
        files: the content of the run's folder.
        overhead: seconds that the run took beyond its epochs, each of them taken for the median one.
    """

    files: dict[str, bytes]
    overhead: float


Post = Callable[[Message], None]


def train(study: SweepStudy, examples: Mapping[str, Examples], run: SweepRun, post: Post) -> Trained | None:
    """Train a run; the first one in a process sets it up.

    Args:
        examples: by part: `train`, `validation`, `test`.
        post: sends the driver a message, and waits for nothing.

    Returns:
        None if it was interrupted; its checkpoint holds all epochs done.

    Raises:
        ToolError: this machine has other code or other packages than the driver.
    """
    global _process  # noqa: PLW0603 - a worker is a process; this is what it keeps
    if _process is None:
        _process = _Process(study, examples, post)
    try:
        return _process.train(run)
    except Interrupted:
        return None


class _Process:
    """TensorFlow and a trainer, as the process keeps them from run to run."""

    def __init__(self, study: SweepStudy, examples: Mapping[str, Examples], post: Post) -> None:
        _check_code(study)
        _check_packages(study.inputs)
        os.environ["DVC_ROOT"] = str(scratch_root(study))
        self._visible_gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
        from pipeline.train import backend

        backend.configure(study.params.train.threads)
        from pipeline.train.runner import Runner

        if study.gpus and backend.describe_device() == "CPU":
            raise ToolError(
                f"{platform.node()}: expected a GPU, TensorFlow finds none. Install its CUDA packages there "
                "(`tensorflow[and-cuda]` has them), or leave out --gpus-per-run."
            )
        self._study, self._post = study, post
        self._runner = Runner(study.params, study.network, study.data.task, examples.__getitem__)
        if study.tracking_uri:
            os.environ["MLFLOW_TRACKING_URI"] = study.tracking_uri

    def train(self, run: SweepRun) -> Trained:
        if os.environ.get("CUDA_VISIBLE_DEVICES") != self._visible_gpus:
            # TensorFlow stays on the GPU it began with. Ray gives the run to another process.
            os._exit(1)
        started, reporter = time.perf_counter(), _Reporter(run, self._post)
        parent = files.repository() / ".scratch"  # from where the live log can link the outputs
        parent.mkdir(exist_ok=True)
        with contextlib.ExitStack() as stack:
            scratch = tempfile.TemporaryDirectory(prefix="sweep-", dir=parent, ignore_cleanup_errors=True)
            folder = run_folders.folder(Path(stack.enter_context(scratch)), run.learning_rate, run.seed)
            if self._study.tracking_uri:
                log = LiveLog(
                    self._study.params, self._study.data, *run, lambda text: self._post({"trouble": text})
                )
                reporter.log = stack.enter_context(log)
            with signals.deferred() as interruption:
                self._runner.run(*run, folder, interruption, reporter.epoch)
            if reporter.log:
                reporter.log.finish(folder)
            written = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
        return Trained(written, time.perf_counter() - started - reporter.epochs_took())


_process: _Process | None = None


class _Reporter:
    """The reports of a run's epochs: to its live log each at once, to the driver several together."""

    def __init__(self, run: SweepRun, post: Post) -> None:
        self._run, self._post = run, post
        self.log: LiveLog | None = None
        self._rows: list[tuple[int, Mapping[str, float]]] = []
        self._posted = time.perf_counter()
        self._ends = [self._posted]
        post({"run": run.run_key, "started": platform.node()})

    def epoch(self, epoch: int, measures: Mapping[str, float]) -> None:
        if self.log:
            self.log.epoch(epoch, measures)
        self._rows.append((epoch, {**measures, "time": live_log.now()}))
        now = time.perf_counter()
        self._ends.append(now)
        if now - self._posted >= _INTERVAL:
            self._post({"run": self._run.run_key, "epochs": self._rows})
            self._rows, self._posted = [], now

    def epochs_took(self) -> float:
        """Estimate the epochs' seconds: each as the median, since the first one also traced the graph."""
        return float(np.median(np.diff(self._ends))) * (len(self._ends) - 1)


def _check_code(study: SweepStudy) -> None:
    """Compare the code here with what the run key says; a machine may have another checkout.

    The network's file is not looked at: what is run is the text that came with the study.
    """
    here = Path(pipeline.__file__).resolve().parents[1]
    for name in study.inputs["files"].keys() - {study.network.path}:
        if name.startswith("pipeline/") and files.sha256(here / name) != study.inputs["files"][name]:
            raise ToolError(
                f"{platform.node()}, {here / name}: expected the driver's code, got another version. "
                "Do not edit the code while a sweep runs; start it again."
            )


def _check_packages(inputs: Mapping[str, Any]) -> None:
    for pin in inputs["packages"]:
        package, _, expected = pin.partition("==")
        try:
            installed = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            installed = "none"
        if installed != expected:
            raise ToolError(
                f"{platform.node()}: expected {pin}, got {package} {installed}. Every machine needs the "
                "packages of requirements/ray.txt."
            )


def scratch_root(study: SweepStudy) -> Path:
    """Choose where checkpoints and notes for `publish` go.

    That is the repository where there is one disk for all, else a folder of this user's on this machine.
    """
    root = Path(study.root)
    if (root / "dvc.yaml").is_file():
        return root
    own = Path(tempfile.gettempdir()) / f"sweep-{run_keys.digest(dict(study.inputs))[:16]}"
    own.mkdir(mode=0o700, exist_ok=True)
    status = own.lstat()  # everybody can work out the name: another user's checkpoints are not ours
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ToolError(
            f"{platform.node()}, {own}: expected a folder that is this user's alone, got another. Remove it, "
            "or set TMPDIR to a folder of this user's own."
        )
    return own
