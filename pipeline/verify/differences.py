"""What a rerun made against what dvc.lock says: the same bytes, or how they differ."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core import runs
from pipeline.verify import clone, lockfile
from pipeline.verify.clone import Clone, Files, Find
from pipeline.verify.lockfile import Lock


def compare(lock: Lock, stray: Iterable[str], rerun: Clone, find: Find) -> list[str]:
    """Compare each hash in `lock` with that of the same path in a rerun, whichever stage used or made it.

    Args:
        stray: paths of outputs that dvc.lock remembers of stages that are asked for no longer.

    Returns:
        The differences, a sentence each, and below it what differs.
    """
    new = lockfile.read(rerun.folder / lockfile.FILE)
    made = {path: md5 for entry in new.values() for path, md5 in entry.paths.items()}
    differing: dict[tuple[str, str], list[str]] = {}
    for stage, entry in lock.items():
        for path in sorted(made.keys() & (entry.paths | new.get(stage, entry).paths)):
            if (expected := entry.paths.get(path, "none")) != made[path]:
                differing.setdefault((path, expected), []).append(stage)
    equal = sum(lock[name].outs.get(path) == md5 for name in new for path, md5 in new[name].outs.items())
    print(f"verify: {equal} outputs of {len(new)} stages are those of dvc.lock, byte for byte")
    problems = []
    for (path, expected), stages in differing.items():
        if any(other != path and lockfile.inside(other, path) for other, _ in differing):
            continue  # a folder differs with what is in it
        if any(lockfile.inside(other, path) for other in stray):
            print(f"verify: not checked: the hash of {path}: runs count in it that params.yaml no longer has")
            continue
        summary = f"{path}: dvc.lock says {expected} ({lockfile.first_few(stages)}), the rerun made "
        details = ["Neither this folder nor DVC's cache has what dvc.lock names; `dvc pull` may bring it."]
        if (before := find(path, expected)) is not None:
            details = file_changes(before, clone.files_of(rerun.folder / path))
        problems.append("\n    ".join((f"{summary}{made[path]}.", *details)))
    return problems


def file_changes(before: Files, after: Files) -> list[str]:
    """Say of each file that differs in what and, where that can be said, by how much."""
    lines = []
    for name in sorted({*before, *after}):
        if name not in after:
            lines.append(f"{name}: missing in the rerun")
        elif name not in before:
            lines.append(f"{name}: new in the rerun")
        elif (old := before[name].read_bytes()) != (new := after[name].read_bytes()):
            difference = f"differs ({len(old):,} bytes before, {len(new):,} in the rerun)"
            try:
                if name == runs.HISTORY:
                    difference = first_difference(before[name], after[name])
                elif name.endswith(".json"):
                    difference = _changed_values(json.loads(old), json.loads(new))
            except ValueError as error:
                difference += f"; one of the two cannot be read: {error}"
            lines.append(f"{name}: {difference}")
    return lines


def first_difference(before: Path, after: Path) -> str:
    """Say of two history.csv in which epoch they part, in what, and by how much.

    Raises:
        ValueError: one of them is not a table.
    """
    old, new = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in (before, after))
    if list(old) != list(new):
        return "the columns differ"
    common = min(len(old), len(new))
    differs = old[:common] != new[:common]
    if not differs.to_numpy().any():
        return f"the same up to epoch {common}, {len(old)} epochs before and {len(new)} in the rerun"
    row = int(differs.any(axis="columns").to_numpy().argmax())
    parts = [_change(str(name), old[name][row], new[name][row]) for name in old if differs[name][row]]
    return f"differs from epoch {row + 1} on: {', '.join(parts)}"


def _changed_values(before: Any, after: Any) -> str:
    from dvc.utils.flatten import flatten

    old, new = (flatten({"": value}) for value in (before, after))
    keys = [key for key in old | new if old.get(key) != new.get(key)]
    if (made := f".{runs.ARITHMETIC}") in keys:  # see `runs`
        return (
            f"arithmetic {old.get(made)} before, {new.get(made)} in the rerun: their bits cannot be "
            "compared; verify it where it was made"
        )
    changes = [_change(key.removeprefix("."), old.get(key), new.get(key)) for key in keys]
    return lockfile.first_few(changes, 4) or "differs in its form"


def _change(name: str, before: Any, after: Any) -> str:
    try:
        by = f" ({float(after) - float(before):+.3g})"
    except (TypeError, ValueError):
        by = ""
    return f"{name} {before} before, {after} in the rerun{by}"
