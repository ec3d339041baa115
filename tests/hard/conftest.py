"""Finished studies on the digits sample, made once; every test works in a copy of one."""

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from pipeline.params import reading
from tests import conftest as usual
from tests.conftest import made_once, wait_until_delivered

PATIENCE = 1800
"""Seconds for one command: these tests may share the machine with a study."""


def run_pipeline(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return usual.run_pipeline(folder, *arguments, timeout=PATIENCE, **variables)


def run_dvc(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return usual.run_dvc(folder, *arguments, timeout=PATIENCE, **variables)


RUNS, EPOCHS = 4, 300
"""Of the study that sweeps are tried on."""


@pytest.fixture(scope="session")
def trained(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of `RUNS` longer runs as `dvc repro` trains them."""

    def make(folder: Path) -> None:
        shutil.copytree(finished, folder, symlinks=True)
        forget(folder)
        reading.override(
            folder / "params.yaml",
            {"train.learning_rates": [0.01, 0.001], "train.seeds": [0, 1], "train.epochs": EPOCHS},
        )
        code = folder / "pipeline/train/checkpoints.py"  # so that a run of seconds has some
        often = code.read_text(encoding="utf-8").replace("INTERVAL = 10.0", "INTERVAL = 0.1")
        assert "INTERVAL = 0.1" in often
        code.write_text(often, encoding="utf-8")
        done = run_dvc(folder, "repro")
        assert done.returncode == 0, done.stderr
        wait_until_delivered(folder)

    return made_once(tmp_path_factory, "trained", make)


class Swept(NamedTuple):
    """The study of `trained` after a sweep from nothing.

    Attributes:
        stderr: what the sweep printed there.
        seconds: how long it took.
    """

    folder: Path
    stderr: str
    seconds: float


@pytest.fixture(scope="session")
def swept(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    def make(folder: Path) -> None:
        shutil.copytree(trained, folder, symlinks=True)
        forget(folder)
        began = time.monotonic()
        done = run_pipeline(
            folder, "sweep", RAY_ADDRESS="192.0.2.1:6379"
        )  # of a cluster that is not asked for
        assert done.returncode == 0, done.stderr
        note = json.dumps([done.stderr, time.monotonic() - began])
        wait_until_delivered(folder)
        folder.with_suffix(".json").write_text(note, encoding="utf-8")

    folder = made_once(tmp_path_factory, "swept", make)
    return Swept(folder, *json.loads(folder.with_suffix(".json").read_text(encoding="utf-8")))


@pytest.fixture
def untrained(trained: Path, tmp_path: Path) -> Path:
    """The same study before anything was done."""
    folder = tmp_path / "untrained"
    shutil.copytree(trained, folder, symlinks=True)
    return forget(folder)


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, with its cache."""
    folder = tmp_path / "study"
    shutil.copytree(finished, folder, symlinks=True)
    return folder


@pytest.fixture
def fresh(study: Path) -> Path:
    """A copy in which nothing was run: no outputs, no dvc.lock, no cache."""
    return forget(study)


def forget(folder: Path) -> Path:
    """Remove all that was computed."""
    folders = ("data/raw", "data/scaled", "runs", "range_test", "report/figures")
    for name in (*folders, ".scratch", "mlartifacts", ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for path in [*folder.glob("mlflow.db*"), *(folder / "report").glob("*.*")]:
        if path.name != ".gitignore":
            path.unlink()
    for name in ("dvc.lock", "data/checked"):
        (folder / name).unlink(missing_ok=True)
    return folder


def outputs(folder: Path) -> dict[str, str]:
    """Hash every output as it is on the disk: MD5 by path."""
    return {path: md5(folder / path, folder) for path in locked(folder)}


def md5(path: Path, root: Path = Path()) -> str:
    """Compute what dvc.lock would say of a file, or of a folder without what `root`'s .dvcignore hides.

    Of the bytes themselves: without DVC's table of hashes by file time and size.
    """
    from dvc.fs import localfs
    from dvc.ignore import DvcIgnoreFilter
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB

    ignore = DvcIgnoreFilter(localfs, str(root.resolve())) if path.is_dir() else None
    without_table = HashFileDB(localfs, "unused")  # in a dry run, nothing is written there
    _, _, content = build(without_table, str(path.resolve()), localfs, "md5", dry_run=True, ignore=ignore)
    return str(content.hash_info.value)


def locked(folder: Path) -> dict[str, str]:
    """Read the MD5 of every output from dvc.lock."""
    from pipeline.verify import lockfile

    return lockfile.outputs(lockfile.read(folder / "dvc.lock"))


def assert_same(folder: Path, reference: Path) -> None:
    """Check that all is as `dvc repro` left it in `reference`: on the disk, in dvc.lock, in DVC's cache."""
    assert (folder / "dvc.lock").read_text() == (reference / "dvc.lock").read_text()
    assert outputs(folder) == locked(reference)
    folders = {path for path in (folder / "runs").glob("*/*") if path.is_dir()}
    assert {path.relative_to(folder) for path in folders} == {
        path.relative_to(reference) for path in (reference / "runs").glob("*/*") if path.is_dir()
    }
    assert "up to date" in run_dvc(folder, "status").stdout


def checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints of runs that are not complete."""
    return list((folder / ".scratch/checkpoints").glob("*.checkpoint"))


def training_workers(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """List the Ray workers below a process that train; Ray names a worker after its task."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        return [member for member in family if "ray::learning rate" in " ".join(member.cmdline())]
    return []


def wait_for(
    condition: Callable[[], object], process: "subprocess.Popen[str] | subprocess.Popen[bytes]"
) -> None:
    """Wait until the condition holds, while the process is at work."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if process.poll() is not None:
            said = process.stdout.read() if process.stdout else ""
            pytest.fail(f"it ended with {process.returncode}: {said!r}")
        assert time.monotonic() < deadline
        time.sleep(0.1)


def start(folder: Path, *command: str, **variables: str) -> "subprocess.Popen[str]":
    """Start `python -m <command>` in a process group of its own; both its outputs go to one pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=usual.environment(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def one_line(stderr: str) -> str:
    """Give the error, if it is one clear line and nothing else; warnings in front of it are fine."""
    assert "Traceback" not in stderr, stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    return line
