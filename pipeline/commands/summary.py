"""`python -m pipeline summary`: the verdict in Markdown, for a pull request or a CI job's summary."""

import json
from pathlib import Path
from typing import Any

from pipeline.core import files
from pipeline.core.errors import DataError, ToolError
from pipeline.report.text import changes
from pipeline.tools import programs, repair


def summary(report: Path, against: str | None) -> None:
    """Print summary.md, and with `against` what changed since the verdict of that git revision.

    Raises:
        DataError: there is no report yet.
        ToolError: git does not know the revision.
    """
    path = report / "summary.md"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"{path}: expected the report's summary, got: {error.strerror}. Run `dvc repro`."
        ) from error
    if against is not None:
        headline, _, reasons = text.partition("\n")
        before = _verdict_at(against, report / "verdict.json")
        after = files.read_json(report / "verdict.json")
        text = f"{headline}\n\n{changes.render(before, after, against)}{reasons}"
    print(text, end="")


def _verdict_at(revision: str, path: Path) -> dict[str, Any] | None:
    """Read the verdict.json of a revision; None if that revision has none.

    Raises:
        ToolError: git does not know the revision, or what it holds there is no verdict.
    """
    repair.check_git(Path())
    try:
        commit = programs.git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}").strip()
    except ToolError as error:
        raise ToolError(
            f"--against: expected a revision that git knows (a branch, a tag, a commit), got {revision!r}: "
            f"{error}"
        ) from error
    if not programs.git("ls-tree", "--name-only", commit, "--", path.as_posix()).strip():
        return None
    try:
        verdict = json.loads(programs.git("show", f"{commit}:./{path.as_posix()}"))
    except ValueError as error:
        raise ToolError(
            f"{revision}:{path}: expected JSON, got: {error}. Choose another revision."
        ) from error
    if not isinstance(verdict, dict):
        raise ToolError(f"{revision}:{path}: expected a verdict, got {verdict!r}. Choose another revision.")
    return verdict
