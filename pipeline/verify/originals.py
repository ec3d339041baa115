"""The bytes behind a hash of dvc.lock, and how another output differs from them."""

import csv
import json
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.core import runs
from pipeline.verify import hashes

Files = Mapping[str, Path]
"""Where each file of an output lies, by its name in it; a single file has the name of its path."""


def find(path: Path, md5: str, cache: Path) -> Files | None:
    """The output with this hash, from the working folder or from DVC's cache; None if neither has it.

    Every byte is read: a cache can be edited, too.

    Args:
        path: where the working folder has the output.
        cache: DVC's cache.
    """
    if path.exists() and hashes.md5(path) == md5:
        return files(path)
    if not md5.endswith(".dir"):
        kept = _cached(cache, md5)
        return {path.name: kept} if kept else None
    entries = _cached_listing(cache, md5)
    if entries is None:
        return None
    found = {name: kept for name, of in entries.items() if (kept := _cached(cache, of))}
    return found if len(found) == len(entries) else None


def listing(path: Path, md5: str, cache: Path) -> dict[str, str] | None:
    """The MD5 of each file of the folder with this hash, by its name in it; None if nobody knows.

    DVC's cache may have the listing of a folder without its files.
    """
    if path.is_dir() and hashes.of_folder(found := hashes.contents(path)) == md5:
        return found
    return _cached_listing(cache, md5)


def files(path: Path) -> Files:
    if path.is_dir():
        return {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if file.is_file()}
    return {path.name: path}


def explain(before: Files, after: Files) -> list[str]:
    """A line or two for each file that differs: its name, and by how much where that can be told."""
    lines = []
    for name in sorted({*before, *after}):
        if name not in after:
            lines.append(f"{name}: missing in the rerun")
        elif name not in before:
            lines.append(f"{name}: new in the rerun")
        elif before[name].read_bytes() != after[name].read_bytes():
            lines.append(f"{name}: {_how(before[name], after[name])}")
    return lines


def first_difference(before: str, after: str) -> str:
    """From two texts of history.csv: the first epoch that differs, in what, and by how much."""
    old, new = list(csv.DictReader(before.splitlines())), list(csv.DictReader(after.splitlines()))
    for number, (one, other) in enumerate(zip_longest(old, new), start=1):
        if one is None or other is None:
            return f"the same up to epoch {number - 1}, {len(old)} epochs before and {len(new)} in the rerun"
        if parts := [_change(key, one.get(key), other.get(key)) for key in one if one[key] != other.get(key)]:
            return f"differs from epoch {number} on: {', '.join(parts)}"
    return "the columns differ"


def _how(before: Path, after: Path) -> str:
    if runs.HISTORY in (before.name, after.name):
        return first_difference(_text(before), _text(after))
    if after.suffix == ".json":
        try:
            old, new = _flat(json.loads(_text(before))), _flat(json.loads(_text(after)))
        except ValueError:
            return "differs, and one of the two is no JSON"
        parts = [_change(key, old.get(key), new.get(key)) for key in new if old.get(key) != new[key]]
        shown = 4
        more = f" and {len(parts) - shown} more" if len(parts) > shown else ""
        return (", ".join(parts[:shown]) + more) or "differs in its form"
    return f"differs ({before.stat().st_size:,} bytes before, {after.stat().st_size:,} in the rerun)"


def _change(name: str, before: Any, after: Any) -> str:
    try:
        by = f" ({float(after) - float(before):+.3g})"
    except (TypeError, ValueError):
        by = ""
    return f"{name} {before} before, {after} in the rerun{by}"


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix.removesuffix("."): value}
    return {
        key: item for name, inner in value.items() for key, item in _flat(inner, f"{prefix}{name}.").items()
    }


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _cached(cache: Path, md5: str) -> Path | None:
    kept = cache / "files" / "md5" / md5[:2] / md5[2:]
    return kept if kept.is_file() and hashes.of_file(kept) == md5.removesuffix(".dir") else None


def _cached_listing(cache: Path, md5: str) -> dict[str, str] | None:
    kept = _cached(cache, md5)
    if kept is None:
        return None
    try:
        found = {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(kept.read_bytes())}
    except (ValueError, KeyError, TypeError):
        return None
    # What is no name inside the folder is nothing that DVC wrote, and files are laid out by these names.
    outside = any(PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts for name in found)
    return None if outside else found
