"""`refine` as a person uses it, on digits: interrupted, continued by a sweep, ended by its budget."""

import contextlib
import itertools
import os
import signal
import subprocess
from pathlib import Path

import pytest

from pipeline import params
from pipeline.core.errors import ToolError
from pipeline.params import reading
from pipeline.refine.command import refine
from tests.conftest import AUTHOR, run_dvc, run_pipeline
from tests.hard.conftest import PATIENCE, start, wait_for

BUDGET = "9"


def trained(folder: Path) -> set[tuple[str, str]]:
    return {path.parts[-3:-1] for path in folder.glob("runs/*/*/metrics.json")}


def comments(folder: Path) -> list[str]:
    return [line for line in (folder / "params.yaml").read_text().splitlines() if "#" in line]


@pytest.mark.hard
def test_interrupted_and_started_again_it_ends_as_an_ordinary_study_within_its_budget(project: Path) -> None:
    reading.override(project / "params.yaml", {"train.learning_rates": [0.1, 0.01, 0.0001]})
    before = comments(project)
    process = start(project, "pipeline", "refine", "--budget", BUDGET)
    wait_for(lambda: trained(project), process)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "3 runs to train, 3 in all: 3 rates (0.1, 0.01 and 0.0001) × 1 seed" in said
    # All of them if it came as a run ended, which DVC does not notice, and so goes on.
    assert trained(project) <= {(f"lr-{rate}", "seed-0") for rate in (0.1, 0.01, 0.0001)}

    done = run_pipeline(project, "refine", "--budget", BUDGET, "--sweep", timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("refine: ")]
    assert "to train, 3 in all: 3 rates" in lines[0]
    assert lines[-1].startswith(f"refine: That would exceed the budget of {BUDGET} runs")
    assert any("more than a factor of" in line for line in lines)
    study = params.load(project / "params.yaml").train
    grid = set(itertools.product(study.learning_rates, study.seeds))
    assert {(f"lr-{rate}", f"seed-{seed}") for rate, seed in grid} <= trained(project)
    assert 3 < len(trained(project)) <= int(BUDGET)
    assert len(study.seeds) > 1 or len(study.learning_rates) > 3
    assert comments(project) == before
    assert "up to date" in run_dvc(project, "status").stdout

    content = (project / "params.yaml").read_bytes()
    dry = run_pipeline(project, "refine", "--budget", "100", "--dry-run")
    assert dry.stdout.splitlines()[-1] == "refine: A dry run: nothing was changed."
    assert (project / "params.yaml").read_bytes() == content
    for command in (["add", "-A"], [*AUTHOR, "commit", "-qm", "refined"]):
        subprocess.run(["git", *command], cwd=project, check=True, capture_output=True)
    verified = run_pipeline(project, "verify", "--runs", "1", timeout=PATIENCE)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_dry_run_before_anything_is_trained_says_what_would_be(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.chdir(project):
        refine(1, dry_run=True)
        refine(2, dry_run=True)
    assert capsys.readouterr().out.splitlines() == [
        "refine: 2 runs to train, 2 in all: 2 rates (0.01 and 0.001) × 1 seed, 3 epochs",
        "refine: That would exceed the budget of 1 run: it is not done.",
        "refine: 2 runs to train, 2 in all: 2 rates (0.01 and 0.001) × 1 seed, 3 epochs",
        "refine: A dry run: nothing was changed.",
    ]


def test_a_stage_that_fails_ends_it_with_what_to_do(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    reading.override(project / "params.yaml", {"data.dataset": "own"})
    with (
        contextlib.chdir(project),
        pytest.raises(ToolError, match="Once it is removed, the same command goes on"),
    ):
        refine(2)
    assert "failed to reproduce 'download'" in capfd.readouterr().err
