"""Finished studies on the digits sample, made once; every test works in a copy of one."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.params import reading
from tests import conftest as usual
from tests.conftest import made_once

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

    def make(place: Path) -> None:
        shutil.copytree(finished, place, symlinks=True)
        forget(place)
        reading.override(
            place / "params.yaml",
            {"train.learning_rates": [0.01, 0.001], "train.seeds": [0, 1], "train.epochs": EPOCHS},
        )
        code = place / "pipeline/train/checkpoints.py"  # so that a run of seconds has some
        often = code.read_text(encoding="utf-8").replace("INTERVAL = 10.0", "INTERVAL = 0.1")
        assert "INTERVAL = 0.1" in often
        code.write_text(often, encoding="utf-8")
        done = run_dvc(place, "repro")
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "trained", make)


class Swept(NamedTuple):
    """Attributes:

    place: the study of `trained` after a sweep from nothing.
    said: by the sweep, on stderr.
    seconds: that it took.
    """

    place: Path
    said: str
    seconds: float


@pytest.fixture(scope="session")
def swept(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    def make(place: Path) -> None:
        shutil.copytree(trained, place, symlinks=True)
        forget(place)
        began = time.monotonic()
        done = run_pipeline(place, "sweep")
        assert done.returncode == 0, done.stderr
        note = json.dumps([done.stderr, time.monotonic() - began])
        place.with_suffix(".json").write_text(note, encoding="utf-8")

    place = made_once(tmp_path_factory, "swept", make)
    return Swept(place, *json.loads(place.with_suffix(".json").read_text(encoding="utf-8")))


@pytest.fixture
def untrained(trained: Path, tmp_path: Path) -> Path:
    """The same study before anything was done."""
    place = tmp_path / "untrained"
    shutil.copytree(trained, place, symlinks=True)
    return forget(place)


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, with its cache."""
    place = tmp_path / "study"
    shutil.copytree(finished, place, symlinks=True)
    return place


@pytest.fixture
def fresh(study: Path) -> Path:
    """A copy in which nothing was run: no outputs, no dvc.lock, no cache."""
    return forget(study)


def forget(place: Path) -> Path:
    """Remove all that was computed."""
    for name in ("data", "runs", "range_test", ".scratch", "mlartifacts", ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(place / name, ignore_errors=True)
    for path in [place / "dvc.lock", *place.glob("mlflow.db*"), *(place / "report").glob("*.*")]:
        if path.is_file() and path.name != ".gitignore":
            path.unlink()
    shutil.rmtree(place / "report" / "figures", ignore_errors=True)
    return place


def outputs(place: Path) -> dict[str, str]:
    """The MD5 of every output as it lies there, and not as DVC remembers it."""
    from pipeline.verify import hashes

    return {path: hashes.md5(place / path, place) for path in says(place)}


def says(place: Path) -> dict[str, str]:
    """The MD5 of every output as dvc.lock has it."""
    from pipeline.verify import lockfile

    return lockfile.outputs(lockfile.read(place / "dvc.lock"))


def assert_same(place: Path, reference: Path) -> None:
    """Everything is as `dvc repro` left it in `reference`, on the disk and in dvc.lock and DVC's cache."""
    assert (place / "dvc.lock").read_text() == (reference / "dvc.lock").read_text()
    assert outputs(place) == says(reference)
    folders = {path for path in (place / "runs").glob("*/*") if path.is_dir()}
    assert {path.relative_to(place) for path in folders} == {
        path.relative_to(reference) for path in (reference / "runs").glob("*/*") if path.is_dir()
    }
    assert "up to date" in run_dvc(place, "status").stdout


def checkpoints(place: Path) -> list[Path]:
    """Those of runs that are not complete."""
    return list((place / ".scratch/checkpoints").glob("*.checkpoint"))


def wait_for(
    condition: Callable[[], object], process: "subprocess.Popen[str] | subprocess.Popen[bytes]"
) -> None:
    """Wait until it is true, while the process is at work."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < deadline
        time.sleep(0.1)


def start(folder: Path, *command: str, **variables: str) -> "subprocess.Popen[str]":
    """Start `python -m <command>` in a process group of its own; both its outputs go to one pipe."""
    environment = os.environ | {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        **variables,
    }
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def one_line(stderr: str) -> str:
    """The error, if it is one clear line and nothing else; warnings in front of it are fine."""
    assert "Traceback" not in stderr, stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    return line
