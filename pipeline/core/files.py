"""Whole files: written at once or not at all; hashes; JSON; where the repository is."""

import contextlib
import functools
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.core.errors import damaged

_TOKEN = 8 * "[0-9a-f]"
_IGNORED = re.compile(r"__pycache__|\..*|#.*#|.*~")
_ABANDONED = 24 * 3600.0
"""Seconds without an entry after which a temporary path is a killed process's: what lives takes minutes."""


def repository() -> Path:
    """Find the repository's root: the current folder, but in the copies in which DVC runs experiments.

    DVC sets `DVC_ROOT` for every stage; it names the real repository even in such a copy.
    """
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


@contextlib.contextmanager
def replacing(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """Give a temporary path with the same suffix; on success it replaces `path` at once, on error it goes.

    Those that killed processes left beside it go, too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.stem}-{_TOKEN}{path.suffix}"):
        with contextlib.suppress(FileNotFoundError):  # another process removed it first
            if time.time() - left.stat().st_mtime > _ABANDONED:
                _remove(left)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    if folder:
        temporary.mkdir()
    else:
        temporary.touch(exist_ok=False)
    try:
        yield temporary
        if folder and path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


replacing_folder = functools.partial(replacing, folder=True)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write `value` with sorted keys and an indent; NaN and infinities, which JSON lacks, become null."""
    finite = json.loads(json.dumps(value), parse_constant=lambda _: None)
    write_text(path, json.dumps(finite, indent=2, sort_keys=True) + "\n")


def read_json(path: Path) -> Any:
    """Read what a JSON file holds.

    Raises:
        DataError: not there or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise damaged(path, "expected a JSON file, found none") from None
    except (OSError, ValueError) as error:
        raise damaged(path, f"expected JSON, got: {error}") from error


def sha256(path: Path) -> str:
    """Compute the hex digest of a file; of a folder, that of its files' relative names and digests, sorted.

    What .dvcignore has DVC ignore is no part of it: Python's bytecode, what editors leave beside a file.
    """
    if path.is_dir():
        digest = hashlib.sha256()
        for file in sorted(path.rglob("*")):
            if file.is_file() and not any(map(_IGNORED.fullmatch, file.relative_to(path).parts)):
                digest.update(f"{file.relative_to(path).as_posix()}\0{sha256(file)}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
