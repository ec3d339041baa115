"""`make repro`: what a newcomer without a network sees, and what it does where there is data."""

import os
import shutil
from pathlib import Path

import pytest

from pipeline.params import reading
from tests.conftest import run_pipeline
from tests.hard.conftest import PATIENCE

pytestmark = pytest.mark.hard


def test_without_a_network_the_demo_runs_and_the_message_says_so(project: Path) -> None:
    changes = {"data.dataset": "mnist", "data.mirrors.mnist": ["../nothing/here"]}
    reading.override(project / "params.yaml", changes)

    code = project / "pipeline/commands/demo.py"
    code.write_text(code.read_text().replace("[0.1, 0.01, 0.0001]", "[0.01]"))  # a demo of two runs, not six

    done = run_pipeline(project, "repro", timeout=PATIENCE)

    assert done.returncode == 75, done.stdout + done.stderr
    assert "The study was NOT run: no source delivered MNIST." in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((project / "data/raw").glob("*"))
    assert not (project / "runs").exists()
    demo = project / ".scratch/demo"
    assert "data set digits" in (demo / "report/summary.md").read_text(encoding="utf-8")
    assert (demo / "mlflow.db").exists()


def test_a_download_without_git_hears_what_to_do_and_its_demo_runs_where_there_is_no_git(
    project: Path, tmp_path: Path
) -> None:
    shutil.rmtree(project / ".git")
    done = run_pipeline(project, "repro")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    assert "expected a git repository" in line
    assert "`git init && git add --all && git commit -m study` makes one; `make demo` needs none." in line

    code = project / "pipeline/commands/demo.py"
    code.write_text(code.read_text().replace("[0.1, 0.01, 0.0001]", "[0.01]"))  # a demo of two runs, not six
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").write_text("#!/bin/sh\necho 'no git here' >&2; exit 1\n")
    (tmp_path / "bin/git").chmod(0o755)
    done = run_pipeline(
        project, "demo", timeout=PATIENCE, PATH=f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / ".scratch/demo/report/index.html").exists()


def test_one_command_runs_the_study_publishes_it_and_names_the_report(project: Path) -> None:
    done = run_pipeline(project, "repro", timeout=PATIENCE)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "report/index.html" in done.stdout
    assert "0 not published" in done.stdout
    again = run_pipeline(project, "repro", timeout=PATIENCE)
    assert "Data and pipelines are up to date." in again.stdout + again.stderr
    assert "publish: 0 changed" in again.stdout
