"""What a killed DVC leaves half-written and then cannot work with, mended before the next one starts.

DVC writes two files in place: its note of who works on what, and dvc.lock. Whoever writes one of them holds a
lock of DVC's, so under that lock a damaged file is a dead process' and not one that is just being written.
"""

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.core import files
from pipeline.core.errors import ToolError
from pipeline.tools import programs

_DAMAGED = Path(".scratch/damaged-dvc.lock")


def mend(folder: Path) -> None:
    """Make DVC's files in the repository at `folder` such that it can read them, and say what was done."""
    note = folder / ".dvc/tmp/rwlock"
    _mend(note, _is_note, folder / ".dvc/tmp/rwlock.lock", _forget)
    _mend(folder / "dvc.lock", _is_lock, folder / ".dvc/tmp/lock", _put_back)


def _mend(path: Path, is_whole: Callable[[str], bool], guard: Path, act: Callable[[Path], None]) -> None:
    if _reads(path, is_whole):
        return
    from dvc.lock import Lock, LockError

    with contextlib.suppress(LockError), Lock(str(guard)):  # who cannot be waited for is DVC's to tell
        if not _reads(path, is_whole):
            act(path)


def _reads(path: Path, is_whole: Callable[[str], bool]) -> bool:
    try:
        return is_whole(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True
    except UnicodeDecodeError:
        return False


def _is_note(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _is_lock(text: str) -> bool:
    """Whether DVC can read it, or a person has to: the two sides of a merge are nobody's to throw away."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from dvc.utils.serialize import YAMLError, parse_yaml
    from voluptuous import Invalid

    if any(line.startswith("<<<<<<<") for line in text.splitlines()):
        return True
    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(text, "dvc.lock"))
    except (YAMLError, Invalid):
        return False
    return True


def _forget(path: Path) -> None:
    path.unlink()
    print(f"note: removed {path}, which a killed DVC left half-written.", file=sys.stderr)


def _put_back(path: Path) -> None:
    """As it was committed; DVC's run cache holds what was made since."""
    kept = path.parent / _DAMAGED
    files.write_bytes(kept, path.read_bytes())
    try:
        files.write_text(path, programs.git("show", "HEAD:./dvc.lock", folder=path.parent))
        done = "put back as it was committed"
    except ToolError:  # it never was
        path.unlink()
        done = "removed"
    print(
        f"note: {path}, which a killed DVC left half-written, was {done}; what was there is {kept}. Runs "
        "that are done come back from DVC's run cache.",
        file=sys.stderr,
    )
