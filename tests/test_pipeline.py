"""The pipeline as DVC runs it: complete on the bundled sample, and nothing runs again without a reason."""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.checkout import copy_checkout
from pipeline.commands.demo import demo
from pipeline.commands.repro import repro
from pipeline.core import files
from pipeline.core.errors import ToolError
from pipeline.params import reading
from pipeline.tools import programs, repair
from tests.conftest import AUTHOR, ROOT, run_dvc, run_pipeline


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder, symlinks=True)
    return folder


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
    reading.override(copy / "params.yaml", {"data.mirrors.mnist": ["https://mirror.example/mnist/"]})
    assert would_run(copy) == []


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("pipeline/report/charts/style.py", {"report"}),
        ("pipeline/tracking/store.py", set()),
        ("pipeline/commands/ui.py", set()),
        ("pipeline/networks/mlp.py", {"check", "train@0.01-0", "train@0.001-0", "range_test"}),
        ("pipeline/networks/cnn.py", set()),
        # A dry run cannot know whether the report would see other bytes.
        ("pipeline/train/loop.py", {"train@0.01-0", "train@0.001-0", "range_test"}),
    ],
)
def test_an_edited_module_runs_what_it_can_change(copy: Path, file: str, stages: set[str]) -> None:
    with (copy / file).open("a") as stream:
        stream.write("# edited\n")
    assert set(would_run(copy)) == stages


def test_what_editors_leave_beside_a_file_is_no_edit(copy: Path) -> None:
    """While they work, too: DVC and the stages look at the same files."""
    before = files.sha256(copy / "pipeline")
    for folder in (copy / "pipeline/core", copy / "pipeline/train"):
        for name in (".files.py.swp", ".files.py.swx", "files.py~", "#files.py#", ".DS_Store", ".hidden"):
            (folder / name).write_text("half a line")
        (folder / ".ipynb_checkpoints").mkdir()
        (folder / ".ipynb_checkpoints/files.py").write_text("older")
        (folder / ".#files.py").symlink_to("user@machine.1234")
    assert would_run(copy) == []
    assert files.sha256(copy / "pipeline") == before


def test_another_tensorflow_trains_again(copy: Path) -> None:
    pins = copy / "pipeline/train/requirements.txt"
    text = pins.read_text()
    assert "tensorflow==" in text
    pins.write_text(text.replace("tensorflow==", "tensorflow==0."))
    assert {"train@0.01-0", "train@0.001-0"} <= set(would_run(copy))


@pytest.mark.hard  # without assertions, each library is compiled anew
def test_what_libraries_warn_of_neither_ends_a_command_nor_is_shown(copy: Path) -> None:
    strict = {"PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2"}
    done = run_pipeline(copy, "publish", **strict)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    nothing_to_do = run_pipeline(copy, "repro", **strict)  # DVC's own process
    assert nothing_to_do.returncode == 0, nothing_to_do.stderr


def test_a_terminal_without_every_character_shows_the_verdict(copy: Path) -> None:
    assert not (copy / "report/summary.md").read_text(encoding="utf-8").isascii()
    done = run_pipeline(copy, "summary", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "\\u2013" in done.stdout


def test_a_user_without_a_name_or_a_home_can_do_it_all(copy: Path) -> None:
    """As many a cluster's containers are run."""
    nameless = [
        "unshare",
        "--user",
        "--map-user=12345",
        "env",
        "-u",
        "USER",
        "-u",
        "LOGNAME",
        "HOME=/nonexistent",
    ]
    if subprocess.run([*nameless, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs Linux, and the right to have a user namespace")
    done = subprocess.run(
        [*nameless, sys.executable, "-m", "pipeline", "sweep", "--dry-run"],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2 runs up to date" in done.stdout


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
def test_what_a_killed_dvc_left_half_written_is_repaired(
    copy: Path, capfd: pytest.CaptureFixture[str], path: str, content: str, dvc_says: str
) -> None:
    expected = (copy / "dvc.lock").read_bytes()
    (copy / path).write_text(content)
    helpless = run_dvc(copy, "repro")
    assert helpless.returncode != 0  # if not, DVC repairs it itself now
    assert dvc_says in helpless.stderr
    repair.dvc_files(copy)
    assert "which a killed DVC left half-written" in capfd.readouterr().err
    assert programs.dvc("repro", folder=copy) == 0
    assert (copy / "dvc.lock").read_bytes() == expected


@pytest.mark.parametrize("committed", [True, False])
def test_an_empty_lock_becomes_the_committed_one_or_none(copy: Path, committed: bool) -> None:
    expected = (copy / "dvc.lock").read_bytes() if committed else None
    if not committed:
        for command in (["rm", "-q", "--cached", "dvc.lock"], [*AUTHOR, "commit", "-qm", "no results"]):
            subprocess.run(["git", *command], cwd=copy, check=True)
    (copy / "dvc.lock").write_text("")
    repair.dvc_files(copy)
    assert ((copy / "dvc.lock").read_bytes() if (copy / "dvc.lock").exists() else None) == expected


def test_what_is_whole_and_the_two_sides_of_a_merge_are_left_alone(
    copy: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (copy / ".dvc/tmp/rwlock").write_text('{"write": {}, "read": {}}')
    for content in ((copy / "dvc.lock").read_text(), "<<<<<<< HEAD\nschema: '2.0'\n=======\n>>>>>>> other\n"):
        (copy / "dvc.lock").write_text(content)
        repair.dvc_files(copy)
        assert (copy / "dvc.lock").read_text() == content
    assert (copy / ".dvc/tmp/rwlock").exists()
    assert capfd.readouterr().err == ""


# --- copies of the checkout


def repository(folder: Path) -> Path:
    """A git repository with one committed file."""
    folder.mkdir()
    (folder / "file").write_text("one")
    for command in (["init", "-q"], ["add", "-A"], [*AUTHOR, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_copy_leaves_the_repository_alone_whose_hook_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = repository(tmp_path / "original")
    before = contents(original)
    monkeypatch.chdir(original)
    monkeypatch.setenv("GIT_DIR", str(original / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(original / ".git/index"))

    copy_checkout(tmp_path / "copy")

    assert contents(original) == before
    assert programs.git("log", "--format=%s", folder=tmp_path / "copy") == "A copy of the working tree\n"
    assert programs.git("ls-files", folder=tmp_path / "copy") == "file\n"


def test_nothing_that_names_one_repository_reaches_another(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS"}  # a container's safe.directory, for example
    names = set(programs.git("rev-parse", "--local-env-vars").split()) - options
    for name in names:
        monkeypatch.setenv(name, "x")

    assert "GIT_DIR" in names
    assert not names & set(programs.environment())


def test_a_copy_needs_no_key_and_a_refusal_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = repository(tmp_path / "original")
    (tmp_path / "gitconfig").write_text("[commit]\n\tgpgsign = true\n[gpg]\n\tprogram = /nowhere/gpg\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.chdir(original)

    copy_checkout(tmp_path / "copy")

    with pytest.raises(ToolError, match=r"^git -C ../copy -c user\.name=x commit --allow-empty -m signed: "):
        programs.git("-C", "../copy", "-c", "user.name=x", "commit", "--allow-empty", "-m", "signed")


# --- `make repro`


def study_of(folder: Path, monkeypatch: pytest.MonkeyPatch, **stages: str) -> None:
    """A repository of DVC's whose stages call this checkout's pipeline, and the current folder."""
    definition = "stages:\n" + "".join(
        f"  {name}:\n    cmd: {command}\n    deps: [file]\n    outs: [data/{name}]\n"
        for name, command in stages.items()
    )
    repository(folder)
    for name in ("params.yaml", "pipeline/networks/mlp.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    changes = {"data.dataset": "digits", "data.validation_size": 100, "data.mirrors.mnist": ["nowhere"]}
    reading.override(folder / "params.yaml", changes)
    (folder / "dvc.yaml").write_text(definition)
    assert run_dvc(folder, "init", "-q").returncode == 0
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr("pipeline.commands.repro.publish", lambda: 0)
    monkeypatch.setattr("pipeline.commands.repro.demo", lambda: print("the demo ran"))


DOWNLOAD = "python -m pipeline download data/raw"


@pytest.mark.parametrize(
    ("stages", "dataset"),
    [
        ({"raw": "exit 1"}, "mnist"),
        ({"raw": "'{'"}, "mnist"),
        ({"raw": "exit 75"}, "digits"),
    ],
)
def test_what_fails_for_another_reason_does_not_lead_to_the_demo(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stages: dict[str, str],
    dataset: str,
) -> None:
    study_of(tmp_path / "study", monkeypatch, **stages)
    reading.override(Path("params.yaml"), {"data.dataset": dataset, "data.validation_size": 100})

    with pytest.raises(ToolError, match="`dvc repro` stopped: the reason stands above"):
        repro()
    assert "the demo ran" not in capsys.readouterr().out


def test_a_data_set_that_no_source_delivers_leads_to_the_demo_unless_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study_of(tmp_path / "study", monkeypatch, raw=DOWNLOAD)
    reading.override(Path("params.yaml"), {"data.dataset": "mnist"})

    assert repro() == 75
    said = capsys.readouterr()
    assert "the demo ran" in said.out
    assert "The study was NOT run: no source delivered MNIST." in said.err
    assert not list(Path(".dvc/tmp").glob("exit-codes-*"))

    full = SimpleNamespace(free=1_000_000)
    monkeypatch.setattr("pipeline.tools.exit_codes.shutil.disk_usage", lambda _: full)
    with pytest.raises(ToolError, match="`dvc repro` stopped"):
        repro()


@pytest.mark.parametrize("failing", ["dvc", "pipeline", None])
def test_a_demo_of_which_a_part_failed_does_not_say_where_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failing: str | None
) -> None:
    monkeypatch.chdir(ROOT)
    for name in ("dvc", "pipeline"):
        monkeypatch.setattr(programs, name, lambda *_, code=int(name == failing), **__: code)

    with pytest.raises(ToolError, match="the reason stands above") if failing else contextlib.nullcontext():
        demo(tmp_path / "demo")
    assert ("Its runs in MLflow: " in capsys.readouterr().out) == (failing is None)
