"""`python -m pipeline summary`: the verdict, and what changed since a revision of git."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands.summary import summary
from pipeline.core.errors import DataError, ToolError
from tests.conftest import ROOT

VERDICT = {
    "learning_rate": 0.01,
    "indistinguishable": [],
    "rates": {"lr-0.01": {"status": "chosen"}, "lr-0.001": {"status": "worse"}},
}


def git(*arguments: str) -> None:
    author = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    subprocess.run(["git", *author, *arguments], check=True, capture_output=True)


def write_report(verdict: dict[str, Any], headline: str) -> None:
    Path("report").mkdir(exist_ok=True)
    Path("report/verdict.json").write_text(json.dumps(verdict))
    Path("report/summary.md").write_text(f"## {headline}\n\nIt is the best.\n")


@pytest.fixture
def reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository whose second commit has a report."""
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    git("commit", "-qm", "empty", "--allow-empty")
    write_report(VERDICT, "Use learning rate 0.01.")
    git("add", "report")
    git("commit", "-qm", "before")


@pytest.mark.usefixtures("reported")
def test_the_summary_says_what_changed_since_a_revision(capsys: pytest.CaptureFixture[str]) -> None:
    summary(Path("report"), None)
    assert capsys.readouterr().out == "## Use learning rate 0.01.\n\nIt is the best.\n"
    summary(Path("report"), "HEAD~1")
    assert "That revision has no verdict yet." in capsys.readouterr().out
    summary(Path("report"), "HEAD")
    assert "Nothing: the same choice, statuses and accuracies." in capsys.readouterr().out
    write_report(
        VERDICT | {"learning_rate": 0.1, "rates": {"lr-0.1": {"status": "chosen"}}}, "Use learning rate 0.1."
    )
    summary(Path("report"), "HEAD")
    assert capsys.readouterr().out == (
        "## Use learning rate 0.1.\n\n### Changed against HEAD\n\n"
        "- The choice changed: 0.01 before, 0.1 now.\n- 0.1 is new.\n- 0.01 is gone.\n- 0.001 is gone.\n"
        "\nIt is the best.\n"
    )


@pytest.mark.usefixtures("reported")
def test_without_git_there_is_nothing_to_compare_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    shutil.rmtree(".git")
    with pytest.raises(ToolError, match=r"expected a git repository, got: .*`git init && git add --all"):
        summary(Path("report"), "HEAD")


@pytest.mark.usefixtures("reported")
def test_a_revision_without_a_readable_verdict_is_refused() -> None:
    with pytest.raises(ToolError, match=r"--against: expected a revision that git knows .* got 'nosuch'"):
        summary(Path("report"), "nosuch")
    for content, message in (
        ("{", "HEAD:report/verdict.json: expected JSON"),
        ("[]", "expected a verdict, got"),
    ):
        Path("report/verdict.json").write_text(content)
        git("commit", "-qam", "damaged")
        Path("report/verdict.json").write_text(json.dumps(VERDICT))
        with pytest.raises(ToolError, match=message):
            summary(Path("report"), "HEAD")


def test_without_a_report_the_summary_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected the report's summary, got: .* Run `dvc repro`"):
        summary(tmp_path, None)


@pytest.mark.parametrize("lines", [1, 100_000], ids=["all at the end", "at once"])
def test_a_reader_that_left_ends_it_without_a_word(tmp_path: Path, lines: int) -> None:
    """As in `summary | head -n 1`."""
    (tmp_path / "summary.md").write_text("A line.\n" * lines)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "summary", "--report", tmp_path],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")
