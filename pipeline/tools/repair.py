"""DVC, after a repair of what a killed one leaves half-written and the next one cannot work with.

DVC writes two files in place: its note of who works on what, and dvc.lock. Whoever writes one of them holds a
lock of DVC's, so under that lock a damaged file was left by a dead process and is not being written now.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.core import files
from pipeline.core.errors import ToolError
from pipeline.tools import programs


def dvc(*arguments: str, variables: Mapping[str, str] | None = None) -> int:
    """Run DVC on the repository in the current folder, its files repaired; return its exit code.

    Raises:
        ToolError: as `dvc_files`.
    """
    dvc_files(Path())
    return programs.dvc(*arguments, variables=variables)


def dvc_files(root: Path) -> None:
    """Repair the files of the DVC repository at `root` that DVC cannot read, and say what was done.

    Raises:
        ToolError: DVC's configuration has a mistake, or there is no git repository, without which DVC does
            nothing.
    """
    from dvc.config import Config, ConfigError
    from dvc.lock import Lock, LockError

    try:
        settings = Config(str(root / ".dvc"))["core"]
    except ConfigError as error:
        raise ToolError(
            f"DVC: {error}. Correct .dvc/config, .dvc/config.local, or this user's configuration of DVC."
        ) from None
    if not settings.get("no_scm"):
        check_git(root)

    notes = root / ".dvc/tmp"
    for path, guard, parse, repair in (
        (notes / "rwlock", "rwlock.lock", json.loads, _remove),
        (root / "dvc.lock", "lock", _parse_lock, _restore),
    ):
        if _is_damaged(path, parse):
            with contextlib.suppress(LockError), Lock(str(notes / guard)):  # DVC itself says who holds it
                if _is_damaged(path, parse):
                    done = repair(path)
                    print(f"note: {path}, which a killed DVC left half-written, was {done}", file=sys.stderr)


def check_git(root: Path) -> None:
    """Look whether a folder is in a git repository.

    Raises:
        ToolError: it is in none.
    """
    try:
        programs.git("rev-parse", "--git-dir", folder=root)
    except ToolError as error:
        raise ToolError(
            f"{root.resolve()}: expected a git repository, got: {error} "
            "`git init && git add --all && git commit -m study` makes one; `make demo` needs none."
        ) from None


def _is_damaged(path: Path, parse: Callable[[str], object]) -> bool:
    try:
        parse(path.read_text(encoding="utf-8"))
    except ValueError:
        return True
    except FileNotFoundError:
        pass
    return False


def _parse_lock(text: str) -> None:
    """Raise ValueError where DVC cannot read it; the two sides of a merge are for a person to settle."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from dvc.utils.serialize import YAMLError, parse_yaml
    from voluptuous import Invalid

    if "<<<<<<<" not in text:
        try:
            COMPILED_LOCKFILE_SCHEMA(parse_yaml(text, "dvc.lock"))
        except (YAMLError, Invalid) as error:
            raise ValueError from error


def _remove(path: Path) -> str:
    path.unlink()
    return "removed."


def _restore(lock: Path) -> str:
    """Put dvc.lock back as it was committed; DVC's run cache holds what was made since."""
    kept = lock.parent / ".scratch/damaged-dvc.lock"
    files.write_bytes(kept, lock.read_bytes())
    try:
        files.write_text(lock, programs.git("show", "HEAD:./dvc.lock", folder=lock.parent))
        done = "put back as it was committed"
    except ToolError:  # it never was
        lock.unlink()
        done = "removed"
    return f"{done}; what was there is {kept}. Runs that are done come back from DVC's run cache."
