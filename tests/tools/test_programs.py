"""Programs: git gives the same bytes whatever the user's settings; Ctrl-C leaves a program time to save."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.core.errors import ToolError
from pipeline.tools import programs, repair
from tests.conftest import AUTHOR, ROOT


@pytest.fixture
def windows_endings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whose git writes CRLF."""
    (tmp_path / "gitconfig").write_text("[core]\n\tautocrlf = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))


@pytest.mark.usefixtures("windows_endings")
@pytest.mark.parametrize("by", ["the user", "the project"])
def test_a_clone_has_the_bytes_of_the_commit(tmp_path: Path, by: str) -> None:
    """The user's, by .gitattributes; the project's, also of a commit that has none yet."""
    original, clone = tmp_path / "original", tmp_path / "clone"
    original.mkdir()
    (original / "params.yaml").write_bytes(b"one\ntwo\n")
    (original / "table.csv").write_bytes(b"one\r\ntwo\r\n")
    if by == "the user":
        shutil.copyfile(ROOT / ".gitattributes", original / ".gitattributes")
    programs.git("init", "--quiet", folder=original)
    programs.git("add", "--all", folder=original)
    programs.git(*AUTHOR, "commit", "--quiet", "-m", "first", folder=original)

    if by == "the user":
        subprocess.run(["git", "clone", "--quiet", original, clone], check=True)
        assert subprocess.check_output(["git", "status", "--porcelain"], cwd=clone) == b""
    else:
        programs.git("clone", "--quiet", str(original), str(clone))

    assert (clone / "params.yaml").read_bytes() == b"one\ntwo\n"
    assert (clone / "table.csv").read_bytes() == b"one\r\ntwo\r\n"


HOSTILE = """
[core]
    autocrlf = true
    quotePath = true
    fsmonitor = /nowhere/monitor
    excludesFile = {folder}/ignored
[color]
    ui = always
[init]
    defaultObjectFormat = sha256
[status]
    short = true
    branch = true
[log]
    showSignature = true
[diff]
    external = /nowhere/diff
    noprefix = true
"""


def test_no_setting_of_a_user_changes_what_git_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def printed(folder: Path) -> list[str]:
        folder.mkdir()
        (folder / "größe.csv").write_bytes(b"one\n")
        programs.git("init", "--quiet", folder=folder)
        programs.git("add", "--all", folder=folder)
        author = (*AUTHOR, "-c", "user.name=x")
        programs.git(*author, "commit", "--quiet", "--date=0 +0000", "-m", "x", folder=folder)
        (folder / "größe.csv").write_bytes(b"two\n")
        (folder / "new.txt").write_bytes(b"two\n")
        asked = (
            ["ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            ["diff"],
            ["status", "--porcelain"],
            ["show", "HEAD:größe.csv"],
            ["rev-parse", "HEAD^{tree}"],
        )
        return [programs.git(*question, folder=folder) for question in asked]

    usual = printed(tmp_path / "usual")
    (tmp_path / "git").mkdir()
    (tmp_path / "git/attributes").write_text("*.csv text eol=crlf diff=nonsense\n")
    (tmp_path / "git/ignore").write_text("*.txt\n")
    (tmp_path / "gitconfig").write_text(HOSTILE.format(folder=tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "/nowhere/diff")
    monkeypatch.setenv("GIT_DEFAULT_HASH", "sha256")
    assert printed(tmp_path / "own") == usual


SAVES = """
import pathlib, signal, time

def save(*_):
    time.sleep(1)
    pathlib.Path("saved").touch()
    raise SystemExit(130)

signal.signal(signal.SIGINT, save)
pathlib.Path("ready").touch()
time.sleep(300)
"""
CALLS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
from pipeline.tools import programs
programs.run_module("saves")
"""


def test_ctrl_c_leaves_a_program_the_time_to_save_its_work(tmp_path: Path) -> None:
    (tmp_path / "saves.py").write_text(SAVES)
    with subprocess.Popen(
        [sys.executable, "-c", CALLS],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        while not (tmp_path / "ready").exists():
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.wait() == -signal.SIGINT
        assert (tmp_path / "saved").exists()


@pytest.mark.parametrize("name", ["config", "config.local"])
@pytest.mark.parametrize("text", ["[core\n", "[core]\n    nonsense = 1\n", "[core]\n    no_scm = perhaps\n"])
def test_a_mistake_in_dvc_s_configuration_is_one_line_that_names_the_files(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / name).write_text(text)
    with pytest.raises(ToolError, match=r"^DVC: .+\. Correct \.dvc/config, \.dvc/config\.local, or .*\.$"):
        repair.dvc_files(tmp_path)


def test_a_folder_without_git_hears_how_to_make_it_a_repository(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(ToolError, match=r"expected a git repository.*`git init && git add --all"):
        repair.dvc_files(tmp_path)
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    repair.dvc_files(tmp_path)
