"""DVC's MD5 of files and folders, from the bytes themselves.

DVC keeps a table of hashes by file time and size and believes it; who looks for a changed file must not.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path


def md5(path: Path) -> str:
    """What dvc.lock would say about a file or a folder."""
    return of_folder(contents(path)) if path.is_dir() else of_file(path)


def of_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def of_folder(files: Mapping[str, str]) -> str:
    """Args:
    files: the MD5 of each file by its relative name, with slashes.
    """
    entries = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    content = json.dumps(entries, sort_keys=True).encode()
    return f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}.dir"


def contents(folder: Path) -> dict[str, str]:
    """The MD5 of each file under `folder` by its relative name, without what .dvcignore hides below runs."""
    found = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    return {name: of_file(found[name]) for name in sorted(found) if "/.seed-" not in f"/{name}"}
