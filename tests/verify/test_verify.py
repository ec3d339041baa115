"""`verify`: what does not follow from the commit is found, and said in words that help."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core import machine
from pipeline.core.errors import DataError, DownloadError, ParamsError, ToolError
from pipeline.params import reading
from pipeline.tools import programs
from pipeline.verify import clone
from pipeline.verify.command import verify
from tests.conftest import ROOT, run_dvc, run_pipeline
from tests.verify.conftest import commit, make, recorded, replace

RUN = Path("runs/lr-0.01/seed-0")


def left_over(study: Path) -> list[str]:
    return [path.name for path in (study.parent / "temporary").iterdir()]


# --- the whole command on a study in miniature


def test_a_genuine_commit_is_equal(
    study: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert verify(1, all=True) == 0

    said = capfd.readouterr().out
    assert "trains 4 of 4 runs again: train@0.01-0, train@0.01-1, train@0.001-0, train@0.001-1" in said
    assert "9 outputs of 7 stages are those of dvc.lock, byte for byte" in said
    assert f"verify: ran on {machine.processor()}" in said
    assert "everything compared is equal" in said
    assert left_over(study) == []


SETTINGS = """
[core]
    autocrlf = true
    hooksPath = {hooks}
[diff]
    renames = copies
"""


def test_a_users_git_settings_change_nothing(
    study: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the line endings of a clone, nor the names of what changed, nor hooks."""
    hook = study.parent / "hooks/post-checkout"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\necho '# a line' >> train.py\n")
    hook.chmod(0o755)
    (study.parent / "gitconfig").write_text(SETTINGS.format(hooks=hook.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(study.parent / "gitconfig"))

    assert verify(0) == 0, capfd.readouterr().err

    programs.git("mv", "train.py", "renamed.py")
    assert verify(0) == 1
    assert "train.py changed (deleted) since train@0.01-0, train@0.01-1 and 2 more ran, in this folder: " in (
        capfd.readouterr().err
    )


@pytest.mark.hard
def test_the_study_may_be_a_folder_in_a_repository(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make(tmp_path / "monorepo", "ml/a study"))
    Path("../of no concern").write_text("")

    assert verify(1) == 0, capfd.readouterr().err

    replace(Path("train.py"), "0.9", "0.8")
    assert verify(1) == 1
    assert "  train.py changed (modified) since " in capfd.readouterr().err


def test_a_rate_that_was_dropped_before_the_split_was_changed_claims_nothing(
    study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What DVC keeps of its stage names data that no stage makes any more."""
    values = {"train.learning_rates": [0.01], "data.validation_size": 40}
    reading.override(Path("params.yaml"), values)
    assert run_dvc(study, "repro").returncode == 0
    commit(study, "one rate, another split")
    assert "train@0.001-0" in Path("dvc.lock").read_text()

    assert verify(0) == 0, capfd.readouterr().err


@pytest.mark.hard
def test_an_output_changed_and_committed_is_found_down_to_the_epoch(
    study: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    history = (RUN / "history.csv").read_text().splitlines()
    value = float(history[2].split(",")[1])
    (RUN / "history.csv").write_text("\n".join([*history[:2], f"2,{value + 0.125}", history[3], ""]))
    assert run_dvc(study, "commit", "-f").returncode == 0
    commit(study, "a better number")

    assert verify(all=True, runs=0) == 1

    said = capfd.readouterr()
    assert (
        f"    history.csv: differs from epoch 2 on: val_accuracy {value + 0.125} before, "
        f"{value} in the rerun (-0.125)" in said.err
    )
    assert "report/comparison.csv" not in said.err  # made from metrics.json, which is untouched
    (kept,) = left_over(study)
    assert f"The clone is kept: {study.parent}/temporary/{kept}/study" in said.err


@pytest.mark.hard
def test_training_that_does_not_repeat_is_found(
    study: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    Path("train.py").write_text(
        "import os\n\n\ndef train(rate, seed):\n    return int.from_bytes(os.urandom(4)) / 2**32\n"
    )
    assert run_dvc(study, "repro").returncode == 0
    commit(study, "chance")

    assert verify(1) == 1

    said = capfd.readouterr().err
    assert "history.csv: differs from epoch 1 on: val_accuracy 0." in said
    assert "metrics.json: best.val_accuracy 0." in said


def _append(path: str, text: str) -> Callable[[], None]:
    def change() -> None:
        Path(path).write_text(Path(path).read_text(encoding="utf-8") + text, encoding="utf-8")

    return change


def _edit(path: str, old: str, new: str) -> Callable[[], None]:
    return lambda: replace(Path(path), old, new)


def _edit_lock() -> None:
    text = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(text.replace(recorded("data/scaled"), "1" * 32 + ".dir", 1))


COMMITTED = [
    (
        _append("train.py", "# a line\n"),
        "train.py changed (modified) since train@0.01-0, train@0.01-1 and 2 more ran: dvc.lock does not",
    ),
    (
        _edit("params.yaml", "epochs: 3", "epochs: 4"),
        "params.yaml, key train.epochs, changed (modified) since train@0.01-0, train@0.01-1 and 2 more ran",
    ),
    (
        _edit("params.yaml", "[0.01, 0.001]", "[0.01, 0.002]"),
        "dvc.lock does not know train@0.002-0, train@0.002-1, which params.yaml asks for.",
    ),
    (
        _edit("dvc.yaml", "python stage.py scale", "python  stage.py scale"),
        "The command in dvc.yaml changed since scale ran",
    ),
    (
        _append("report/verdict.json", " "),
        "report/verdict.json changed (modified) since report ran",
    ),
    (
        lambda: Path("report/comparison.csv").unlink(),
        "report/comparison.csv changed (deleted)",
    ),
    (
        _append("report/verdict.json", "{"),
        "report/verdict.json changed (modified) since report ran",
    ),
    (
        lambda: Path("report/comparison.csv").write_bytes(b"learning_rate,seed\n0.1,\xff\n"),
        "report/comparison.csv changed (modified) since report ran",
    ),
]


@pytest.mark.parametrize(
    ("change", "said"),
    COMMITTED,
    ids=["code", "param", "rate", "command", "result", "missing", "no JSON", "no text"],
)
def test_a_commit_whose_lock_does_not_follow_is_refused_before_any_training(
    study: Path,
    capfd: pytest.CaptureFixture[str],
    change: Callable[[], None],
    said: str,
) -> None:
    change()
    commit(study, "changed without a rerun")

    assert verify(1) == 1

    output = capfd.readouterr()
    assert said in output.err
    assert "Nothing was trained: run `dvc repro` and commit what it makes first." in output.err
    assert "trains" not in output.out
    assert left_over(study) == []


UNCOMMITTED = [
    (
        _append("train.py", "# a line\n"),
        "train.py changed (modified) since train@0.01-0, train@0.01-1 and 2 more ran, in this folder: ",
    ),
    (_edit_lock, "dvc.lock here is not the committed one."),
    (
        _append("report/verdict.json", " "),
        "report/verdict.json changed (modified) since report ran, in this ",
    ),
]


@pytest.mark.parametrize(("change", "said"), UNCOMMITTED, ids=["code", "lock", "result"])
@pytest.mark.usefixtures("study")
def test_what_is_not_committed_is_reported_where_it_matters(
    capfd: pytest.CaptureFixture[str],
    change: Callable[[], None],
    said: str,
) -> None:
    _append("stage.py", "# matters to nobody\n")()
    change()

    assert verify(1) == 1

    output = capfd.readouterr()
    assert said in output.err
    assert "stage.py" not in output.err


def test_without_a_lock_in_the_commit_it_says_what_to_do(study: Path) -> None:
    Path("dvc.lock").unlink()
    commit(study, "none")

    with pytest.raises(
        DataError, match=r"dvc\.lock: expected DVC's record of the study, found none\. Run `dvc repro`"
    ):
        verify(1)
    assert left_over(study) == []


@pytest.mark.parametrize("content", [b"stages: [1]\n", b"\xff"])
def test_a_damaged_lock_is_refused(study: Path, content: bytes) -> None:
    Path("dvc.lock").write_bytes(content)
    commit(study, "damaged")

    with pytest.raises(DataError, match=r"dvc\.lock: expected what DVC writes, got something else"):
        verify(1)


@pytest.mark.parametrize("stage", ["download", "scale"])
def test_a_stage_that_does_not_run_is_reported(study: Path, stage: str) -> None:
    replace(
        Path("stage.py"),
        'if stage == "download":',
        f'if stage == "{stage}":\n    sys.exit(3)\nif stage == "download":',
    )
    commit(study, "fails")

    with pytest.raises(ToolError, match="do not run to their end in a clone: see above"):
        verify(1)


def test_a_data_set_that_could_not_be_had_may_be_there_later(study: Path) -> None:
    write = "import os; write(os.environ['STUDY_EXIT_CODES'], '75 download\\n'); sys.exit(75)"
    replace(Path("stage.py"), 'if stage == "download":', f'if stage == "download":\n    {write}')
    commit(study, "no network")

    with pytest.raises(
        DownloadError, match=r"The clone could not get the data set: .* DIGITS_MIRROR=.*, run `verify` again"
    ) as caught:
        verify(1)
    assert caught.value.exit_code == 75
    assert left_over(study) == []


@pytest.fixture
def own_study(study: Path) -> Path:
    """The miniature study, made from data that git ignores and `dvc add` keeps."""
    reading.override(Path("params.yaml"), {"data.dataset": "own"})
    replace(Path("dvc.yaml"), "    outs: [data/raw]", "    deps: [data/own]\n    outs: [data/raw]")
    replace(
        Path("stage.py"),
        'write("data/raw/one", "1")',
        'write("data/raw/one", Path("data/own/x").read_text())',
    )
    Path("data/own").mkdir()
    Path("data/own/README.md").write_text("Put them here.\n")
    Path("data/own/x").write_text("3")
    for arguments in (("add", "data/own/x"), ("repro",)):
        done = run_dvc(study, *arguments)
        assert done.returncode == 0, done.stderr
    commit(study, "own data")
    return study


def test_own_data_come_from_this_folder(own_study: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert verify(1) == 0, capfd.readouterr()
    assert "everything compared is equal" in capfd.readouterr().out
    assert left_over(own_study) == []


@pytest.mark.parametrize(
    "content", [pytest.param(None, id="none", marks=pytest.mark.hard), pytest.param("4", id="others")]
)
def test_own_data_must_be_those_that_the_study_was_made_from(
    own_study: Path, capfd: pytest.CaptureFixture[str], content: str | None
) -> None:
    Path("data/own/x").unlink()
    if content:
        Path("data/own/x").write_text(content)

    assert verify(1) == 1

    said = capfd.readouterr().err
    assert "  data/own changed (modified) since download ran: dvc.lock does not follow from it.\n" in said
    assert left_over(own_study) == []


@pytest.mark.parametrize(
    ("named", "listed"),
    [
        pytest.param("../mirror", "nowhere", id="relative"),
        pytest.param("", "../mirror", id="empty"),
        pytest.param("/not/mounted", "../mirror", id="not there"),
    ],
)
@pytest.mark.hard
def test_a_folder_with_the_data_set_is_seen_from_here(
    study: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, named: str, listed: str
) -> None:
    (study.parent / "mirror").mkdir()
    (study.parent / "mirror/x").write_text("1")
    reading.override(Path("params.yaml"), {"data.dataset": "mnist", "data.mirrors.mnist": [listed]})
    fetch = "import os; write('data/raw/one', Path(os.environ['MNIST_MIRROR'], 'x').read_text())"
    replace(Path("stage.py"), 'write("data/raw/one", "1")', fetch)
    commit(study, "from a mirror")
    monkeypatch.setenv("MNIST_MIRROR", named)

    assert verify(1) == 0, capfd.readouterr()


HOLDS = """
import pathlib, time
from dvc.repo import Repo
with Repo().lock:
    pathlib.Path("held").touch()
    time.sleep(4)  # DVC itself gives up after 3
"""


@pytest.mark.hard
def test_while_dvc_is_busy_here_it_waits(study: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDS]) as holder:
        while not Path("held").exists():
            assert holder.poll() is None
        with clone.open_repository(study) as repo, repo.lock:
            assert holder.wait() == 0


def test_a_negative_number_of_runs_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"--runs -1: expected 0 or more\."):
        verify(-1)


def test_outside_of_git_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    done = run_pipeline(tmp_path, "verify", PYTHONPATH=str(ROOT))

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path}: expected a git repository, got: ")
    assert "`git init && git add --all && git commit -m study` makes one" in done.stderr
