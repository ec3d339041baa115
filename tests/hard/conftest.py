"""A finished study on the digits sample, made once; every test works in a copy of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import conftest as usual
from tests.conftest import AUTHOR, make_project

PATIENCE = 1800
"""Seconds for one command: these tests may share the machine with a study."""


def run_pipeline(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return usual.run_pipeline(folder, *arguments, timeout=PATIENCE, **variables)


def run_dvc(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return usual.run_dvc(folder, *arguments, timeout=PATIENCE, **variables)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scratch project after `dvc repro`, all of it committed."""
    place = make_project(tmp_path_factory.mktemp("hard") / "finished")
    done = run_dvc(place, "repro")
    assert done.returncode == 0, done.stderr
    for command in (["add", "-A"], [*AUTHOR, "commit", "-qm", "study"]):
        subprocess.run(["git", *command], cwd=place, check=True, capture_output=True)
    return place


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
    from pipeline.verification import hashes, locks

    lock = locks.parse((place / "dvc.lock").read_text(encoding="utf-8"))
    return {path: hashes.md5(place / path) for entry in lock.values() for path in entry.outs}


def says(place: Path) -> dict[str, str]:
    """The MD5 of every output as dvc.lock has it."""
    from pipeline.verification import locks

    lock = locks.parse((place / "dvc.lock").read_text(encoding="utf-8"))
    return {path: md5 for entry in lock.values() for path, md5 in entry.outs.items()}


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
