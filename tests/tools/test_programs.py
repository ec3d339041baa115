"""git as a program: the same bytes whatever the user's settings."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.tools import programs
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
