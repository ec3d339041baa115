"""DVC's MD5 of files and folders, from the bytes themselves, and the bytes that were recorded with one.

DVC keeps a table of hashes by file time and size and believes it; who looks for a changed file must not. So
its hashing is called without that table.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

Files = Mapping[str, Path]
"""Where each file of an output lies, by its name in it; a single file has the name of its path."""


def md5(path: Path, root: Path = Path()) -> str:
    """Compute what dvc.lock would say of a file, or of a folder without what `root`'s .dvcignore hides."""
    from dvc.fs import localfs
    from dvc.ignore import DvcIgnoreFilter
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB

    ignore = DvcIgnoreFilter(localfs, str(root.resolve())) if path.is_dir() else None
    without_table = HashFileDB(localfs, "unused")  # in a dry run, nothing is written there
    _, _, content = build(without_table, str(path.resolve()), localfs, "md5", dry_run=True, ignore=ignore)
    return str(content.hash_info.value)


def files_of(path: Path) -> Files:
    """List the files of an output as it lies there."""
    if path.is_dir():
        return {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if file.is_file()}
    return {path.name: path}


def find(path: str, expected: str, folders: Iterable[Path], cache: Path) -> Files | None:
    """Find an output by its MD5; None if nobody has it.

    Every byte is read: a cache can be edited, too.

    Args:
        path: of the output, in a working folder.
        folders: the working folders to look at first.
        cache: the folder in which DVC keeps objects by their MD5.
    """
    for folder in folders:
        if (folder / path).exists() and md5(folder / path, folder) == expected:
            return files_of(folder / path)
    kept = _cached(cache, expected)
    if kept is None:
        return None
    if not expected.endswith(".dir"):
        return {Path(path).name: kept}
    recorded = {}
    for entry in json.loads(kept.read_bytes()):
        name, file = PurePosixPath(entry["relpath"]), _cached(cache, entry["md5"])
        # Files are laid out by these names, and whoever forges a listing may write any.
        if file is None or name.is_absolute() or ".." in name.parts:
            return None
        recorded[str(name)] = file
    return recorded


def _cached(cache: Path, expected: str) -> Path | None:
    kept = cache / expected[:2] / expected[2:]
    return kept if kept.is_file() and md5(kept) == expected.removesuffix(".dir") else None
