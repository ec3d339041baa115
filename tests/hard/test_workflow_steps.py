"""Every `run:` step of study.yml, in order, in a scratch clone."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.params import reading
from pipeline.tools import programs
from tests.conftest import AUTHOR, ROOT
from tests.hard.conftest import run_dvc
from tests.test_workflow import WORKFLOWS, run_steps

pytestmark = pytest.mark.hard


class Runner:
    """Runs steps as GitHub's runner does: bash -eo pipefail, and files that carry PATH and summary on."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder, self.scratch = folder, scratch
        for name in ("path", "summary"):
            (scratch / name).write_text("")

    def run(self, step: dict[str, Any], code: int = 0, **variables: str) -> str:
        added = self.scratch.joinpath("path").read_text().splitlines()
        environment = os.environ | {
            "PATH": os.pathsep.join([*reversed(added), os.environ["PATH"]]),
            "GITHUB_PATH": str(self.scratch / "path"),
            "GITHUB_STEP_SUMMARY": str(self.scratch / "summary"),
            **variables,
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{step['name']}:\n{done.stdout}"
        return done.stdout

    @property
    def summary(self) -> str:
        return (self.scratch / "summary").read_text()


@pytest.fixture(scope="module")
def clone(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A pull request: a base with its study, and a commit on top that adds a seed. And the base's hash."""
    folder = tmp_path_factory.mktemp("workflow") / "clone"
    shutil.copytree(finished, folder, symlinks=True)
    # The whole suite would run this test again; one module shows that the step works.
    for test in (folder / "tests").rglob("test_*.py"):
        if test.name != "test_preparation.py":
            test.unlink()
    for others in ("hard", "services"):  # they import from the modules that are gone
        shutil.rmtree(folder / "tests" / others)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    with (folder / ".git" / "info" / "exclude").open("a") as stream:
        stream.write(".venv\n")
    base = _commit(folder, "base")
    reading.override(folder / "params.yaml", {"train.seeds": [0, 1]})
    done = run_dvc(folder, "repro")
    assert done.returncode == 0, done.stderr
    _commit(folder, "one more seed")
    return folder, base


def _commit(folder: Path, message: str) -> str:
    for command in (["add", "-A"], [*AUTHOR, "commit", "-qm", message]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    return programs.git("rev-parse", "HEAD", folder=folder).strip()


@pytest.mark.parametrize("job", list(WORKFLOWS["study"]["jobs"]))
def test_every_step_runs_in_a_scratch_clone(job: str, clone: tuple[Path, str], tmp_path: Path) -> None:
    folder, base = clone
    runner = Runner(folder, tmp_path)
    said = {step["name"]: runner.run(step, BASE=base) for step in run_steps("study", job)}

    if job == "test":
        assert "passed" in said["Lint, types, tests"]
    if job == "study":
        assert runner.summary == (folder / "comment" / "comment.md").read_text()
        assert f"### Changed against {base}" in runner.summary
        assert "| train.seeds" in runner.summary.replace("params.yaml", "")
        assert "Data and pipelines are up to date" in said["The study"]
    if job == "verify":
        assert "verify: everything compared is equal" in runner.summary
        assert "trains 2 of 4 runs again" in runner.summary
        assert "makes the report again" in runner.summary


def test_what_verify_found_reaches_the_summary(clone: tuple[Path, str], tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    shutil.copytree(clone[0], folder, symlinks=True)
    with (folder / "report" / "verdict.json").open("a") as stream:
        stream.write(" ")
    _commit(folder, "a verdict edited by hand")
    (tmp_path / "runner").mkdir()
    runner = Runner(folder, tmp_path / "runner")
    (runner.scratch / "path").write_text(f"{ROOT / '.venv/bin'}\n")
    (step,) = [step for step in run_steps("study", "verify") if step["name"] == "Two runs again from nothing"]

    runner.run(step, code=1)

    assert "  report/verdict.json changed (modified) since report ran: dvc.lock does not" in runner.summary
    assert "verify: 2 difference(s)" in runner.summary  # in the clone, and here


def test_what_only_the_runner_computed_is_no_change_of_the_pull_request(
    clone: tuple[Path, str], tmp_path: Path
) -> None:
    """A base and a commit with the same results, and a runner that rounds another way."""
    folder = tmp_path / "clone"
    shutil.copytree(clone[0], folder, symlinks=True)
    (tmp_path / "runner").mkdir()
    runner = Runner(folder, tmp_path / "runner")
    (runner.scratch / "path").write_text(f"{ROOT / '.venv/bin'}\n")
    verdict = folder / "report" / "verdict.json"
    committed = verdict.read_text()
    content = json.loads(committed)
    rate = next(iter(content["rates"].values()))
    rate["validation_accuracy"]["mean"] += 0.125
    verdict.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    (step,) = [step for step in run_steps("study", "study") if step["name"] == "What changed"]

    runner.run(step, BASE=programs.git("rev-parse", "HEAD", folder=folder).strip())

    changed, _, own = runner.summary.partition("**This runner computed other results than the commit holds**")
    assert "Nothing: the same choice, statuses and accuracies." in changed
    assert "+12.500 points" in own
    assert verdict.read_text() == committed


def test_a_new_branch_without_a_commit_before_it_compares_with_itself(
    clone: tuple[Path, str], tmp_path: Path
) -> None:
    runner = Runner(clone[0], tmp_path)
    (tmp_path / "path").write_text(f"{ROOT / '.venv/bin'}\n")
    (step,) = [step for step in run_steps("study", "study") if step["name"] == "What changed"]

    runner.run(step, BASE="0" * 40)

    assert "Nothing: the same choice, statuses and accuracies." in runner.summary
