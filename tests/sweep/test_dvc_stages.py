"""What the sweep commits, against what DVC says of it and would have written itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.core.errors import ToolError
from pipeline.sweep import driver
from tests.conftest import ROOT, run_dvc
from tests.sweep.conftest import FILES, commit_all, counts, opened

# DVC's own, about a library of its own.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


def test_committed_runs_are_up_to_date_for_the_sweep_and_for_dvc(study: Path) -> None:
    assert counts() == (4, 0, 0)
    assert "up to date" in run_dvc(study, "status").stdout
    assert (study / "report").read_text().count("model.keras") == 4


def test_dvc_writes_the_same_lock_for_the_same_outputs(study: Path) -> None:
    ours = (study / "dvc.lock").read_bytes()
    (study / "dvc.lock").unlink()
    assert run_dvc(study, "commit", "--force").returncode == 0
    theirs = YAML(typ="safe").load((study / "dvc.lock").read_text())
    assert YAML(typ="safe").load(ours.decode()) == theirs


@pytest.mark.usefixtures("study")
def test_a_run_whose_outputs_went_or_changed_is_restored() -> None:
    shutil.rmtree("runs/lr-0.1/seed-0")
    Path("runs/lr-1e-05/seed-1/model.keras").write_text("tampered with")
    assert counts() == (2, 2, 0)
    with opened() as stages:
        plan = stages.plan({})
        assert {stage.scaled for stage in plan.restorable} == {Path("data")}
        stages.restore(plan.restorable)
        stages.write_lock()
    assert counts() == (4, 0, 0)
    assert Path("runs/lr-0.1/seed-0/model.keras").read_text().startswith("learning rate 0.1, seed 0")


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("code.py", "first", "second"),
        ("nets/mine.py", "network", "another"),
        ("params.yaml", "epochs: 5", "epochs: 6"),
        ("params.yaml", "values: {}", "values: {units: 7}"),
    ],
)
def test_a_change_makes_every_run_stale_and_its_way_back_restores(file: str, old: str, new: str) -> None:
    before = Path(file).read_text()
    # Outputs that DVC has in its cache, but of other deps, must not pass for those of the new ones.
    Path(file).write_text(before.replace(old, new))
    assert counts() == (0, 0, 4)
    with opened() as stages:
        assert commit_all(stages) == 4
    Path(file).write_text(before)
    assert counts() == (0, 4, 0)


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize(("file", "content"), [("code.py", "third\n"), ("params.yaml", "epochs: 7\n")])
def test_what_is_edited_while_runs_train_is_not_recorded_as_if_they_had_used_it(
    file: str, content: str
) -> None:
    Path("code.py").write_text("second\n")
    with opened() as stages:
        (*_, stage) = stages.plan({}).stale
        before = Path(file).read_text()
        Path(file).write_text(content if file == "code.py" else before.replace("epochs: 5\n", content))
        driver.write_run(stage.folder, FILES)
        stages.commit(stage)
        stages.write_lock()
    assert counts() == (0, 0, 4)
    Path(file).write_text(before)
    assert counts() == (1, 0, 3)


@pytest.mark.usefixtures("study")
def test_one_more_rate_leaves_the_others_alone() -> None:
    before = Path("params.yaml").read_text()
    Path("params.yaml").write_text(before.replace("1e-05]", "1e-05, 0.3]"))
    assert counts() == (4, 0, 2)


@pytest.mark.usefixtures("study")
def test_outputs_committed_and_not_yet_in_the_lock_survive_a_killed_sweep() -> None:
    Path("code.py").write_text("second\n")
    lock = Path("dvc.lock").read_bytes()
    program = (
        "import os; from tests.sweep.conftest import *; stages = Stages(); stages.reproduce(stages.upstream);"
        "stages.write_lock = lambda: os.kill(os.getpid(), 9); commit_all(stages)"
    )
    killed = subprocess.run([sys.executable, "-c", program], env=python_path(), check=False)
    assert killed.returncode == -9
    assert Path("dvc.lock").read_bytes() == lock
    assert counts() == (0, 4, 0)


def test_a_killed_writer_leaves_the_old_lock_or_the_new_one(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("code.py").write_text("second\n")
    before = Path("dvc.lock").read_bytes()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with opened() as stages:
        (stage,) = stages.plan({}).stale[:1]
        driver.write_run(stage.folder, FILES)
        stages.commit(stage)
        monkeypatch.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            stages.write_lock()
    assert Path("dvc.lock").read_bytes() == before
    assert not list(study.glob(".dvc-*"))


def test_stages_open_where_a_killed_dvc_left_its_note_half_written(study: Path) -> None:
    (study / ".dvc/tmp/rwlock").write_text('{"write": {"data": {"pid": 1, ')
    with opened() as stages, stages.reserve(Path("runs")):
        assert len(stages.plan({}).current) == 4


def test_dvc_keeps_away_from_reserved_runs_and_the_sweep_from_dvc(study: Path) -> None:
    with opened() as stages, stages.reserve(Path("runs")):
        done = run_dvc(study, "repro", "--force", "--single-item", "train@0.1-0")
        assert done.returncode != 0
        assert "is busy, it is being blocked by" in done.stderr
        assert run_dvc(study, "params", "diff").returncode == 0  # all else goes on
        for work in ("stages.reserve(Path('runs')).__enter__()", "stages.plan({})"):
            program = f"from tests.sweep.conftest import *\nstages = Stages(); {work}; print('in')"
            other = subprocess.run(
                [sys.executable, "-c", program],
                env=python_path(),
                capture_output=True,
                text=True,
                check=False,
            )
            assert "in\n" not in other.stdout
            assert "expected nobody else at work on these runs" in other.stderr
            assert f"(PID {os.getpid()})" in other.stderr
    with opened() as stages, stages.reserve(Path("runs")):
        pass


@pytest.mark.parametrize("cmd", ["nohup {}", "{} --faster", "{} 'unclosed"])
def test_a_stage_that_does_something_else_is_refused(study: Path, cmd: str) -> None:
    text = (study / "dvc.yaml").read_text()
    original = "python -m pipeline train ${item} data runs"
    (study / "dvc.yaml").write_text(text.replace(original, cmd.format(original)))
    with opened() as stages, pytest.raises(ToolError, match=r"expected the command .* use `dvc repro`"):
        stages.plan({})


def python_path() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}
