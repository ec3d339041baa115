"""The pipeline as DVC runs it: complete on the bundled sample, and nothing runs again without a reason."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.commands import mending, tools
from pipeline.params import reading
from tests.conftest import AUTHOR, run_dvc


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    place = tmp_path / "copy"
    shutil.copytree(finished, place, symlinks=True)
    return place


def would_run(folder: Path) -> list[str]:
    """The stages that `dvc repro` would run now."""
    done = run_dvc(folder, "repro", "--dry")
    assert done.returncode == 0, done.stderr
    return [line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage")]


def test_one_command_leaves_everything_that_the_contract_names(copy: Path) -> None:
    for name in (
        "dvc.lock",
        "mlflow.db",
        "runs/lr-0.01/seed-0/model.keras",
        "runs/lr-0.001/seed-0/history.csv",
        "report/index.html",
        "report/comparison.csv",
        "report/curves.csv",
        "report/verdict.json",
    ):
        assert (copy / name).is_file(), name
    assert json.loads((copy / "report/verdict.json").read_text())["learning_rate"] in {0.01, 0.001}
    assert "digits" in (copy / "report/index.html").read_text()
    shown = run_dvc(copy, "metrics", "show", "--json")
    assert "learning_rate" in shown.stdout


def test_nothing_runs_again_without_a_reason(copy: Path) -> None:
    assert would_run(copy) == []


def test_a_new_rate_trains_that_rate_and_nothing_else(copy: Path) -> None:
    reading.override(copy / "params.yaml", {"train.learning_rates": [0.01, 0.001, 0.0001]})
    assert would_run(copy) == ["check", "train@0.0001-0", "report"]


def test_a_rate_that_is_removed_leaves_the_report(copy: Path) -> None:
    reading.override(copy / "params.yaml", {"train.learning_rates": [0.01]})
    assert would_run(copy) == ["check", "report"]


def test_another_mirror_runs_nothing(copy: Path) -> None:
    reading.override(copy / "params.yaml", {"data.mirrors": ["https://mirror.example/mnist/"]})
    assert would_run(copy) == []


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("pipeline/figures/style.py", {"report"}),
        ("pipeline/tracking/store.py", set()),
        ("pipeline/progress.py", set()),
        # A dry run cannot know whether the report would see other bytes.
        ("pipeline/training.py", {"train@0.01-0", "train@0.001-0", "range_test"}),
    ],
)
def test_an_edited_module_runs_what_it_can_change(copy: Path, file: str, stages: set[str]) -> None:
    with (copy / file).open("a") as stream:
        stream.write("# edited\n")
    assert set(would_run(copy)) == stages


def test_another_tensorflow_trains_again(copy: Path) -> None:
    project = copy / "pyproject.toml"
    text = project.read_text()
    assert "tensorflow==" in text
    project.write_text(text.replace("tensorflow==", "tensorflow==0."))
    assert {"train@0.01-0", "train@0.001-0"} <= set(would_run(copy))


@pytest.mark.parametrize(
    ("path", "content", "dvc_says"),
    [
        (".dvc/tmp/rwlock", '{"write": {"data/raw": {"pid": 1, ', "JSON structure is corrupted"),
        (
            "dvc.lock",
            "schema: '2.0'\nstages:\n  download:\n    cmd: python -m pipeline download\n    o",
            "dvc.lock",
        ),
    ],
    ids=["the note", "half a lock"],
)
def test_what_a_killed_dvc_left_half_written_is_mended(
    copy: Path, capfd: pytest.CaptureFixture[str], path: str, content: str, dvc_says: str
) -> None:
    expected = (copy / "dvc.lock").read_bytes()
    (copy / path).write_text(content)
    helpless = run_dvc(copy, "repro")
    assert helpless.returncode != 0  # if not, DVC mends it itself now
    assert dvc_says in helpless.stderr
    mending.mend(copy)
    assert "which a killed DVC left half-written" in capfd.readouterr().err
    assert tools.dvc("repro", folder=copy) == 0
    assert (copy / "dvc.lock").read_bytes() == expected


@pytest.mark.parametrize("committed", [True, False])
def test_an_empty_lock_becomes_the_committed_one_or_none(copy: Path, committed: bool) -> None:
    expected = (copy / "dvc.lock").read_bytes() if committed else None
    if not committed:
        for command in (["rm", "-q", "--cached", "dvc.lock"], [*AUTHOR, "commit", "-qm", "no results"]):
            subprocess.run(["git", *command], cwd=copy, check=True)
    (copy / "dvc.lock").write_text("")
    mending.mend(copy)
    assert ((copy / "dvc.lock").read_bytes() if (copy / "dvc.lock").exists() else None) == expected


def test_what_is_whole_and_the_two_sides_of_a_merge_are_left_alone(
    copy: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (copy / ".dvc/tmp/rwlock").write_text('{"write": {}, "read": {}}')
    for content in ((copy / "dvc.lock").read_text(), "<<<<<<< HEAD\nschema: '2.0'\n=======\n>>>>>>> other\n"):
        (copy / "dvc.lock").write_text(content)
        mending.mend(copy)
        assert (copy / "dvc.lock").read_text() == content
    assert (copy / ".dvc/tmp/rwlock").exists()
    assert capfd.readouterr().err == ""
