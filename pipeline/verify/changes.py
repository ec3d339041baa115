"""What was changed since dvc.lock was written, as DVC sees it; nothing is run."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pipeline.verify import lockfile
from pipeline.verify.lockfile import Lock

ABSENT_IN_CLONE, ABSENT_HERE = "not in cache", "deleted"
"""What DVC says of outputs that are not there; in a clone, `deleted` are only those that git should hold."""


def since(lock: Lock, status: Mapping[str, Any], absent: str, so: str) -> list[str]:
    """Say what dvc.lock does not follow from.

    Args:
        status: of `dvc status`.
        absent: which state of an output is no change.
        so: what follows from a change: the end of each sentence.
    """
    changed: dict[str, list[str]] = {}
    outputs = lockfile.outputs(lock)
    for stage in lock:
        for change in _changes(status.get(stage, ()), outputs, absent):
            changed.setdefault(change, []).append(stage)
    return [f"{change} since {lockfile.first_few(names)} ran{so}" for change, names in changed.items()]


def _changes(
    entries: Iterable[str | Mapping[str, Any]], outputs: Collection[str], absent: str
) -> Iterable[str]:
    """Put what `dvc status` says of a stage into subject and verb."""
    for entry in entries:
        if isinstance(entry, str):  # "changed command" and the like
            yield f"The {entry.removeprefix('changed ')} in dvc.yaml changed"
            continue
        for path, state in entry.get("changed deps", {}).items():
            if isinstance(state, Mapping):
                yield from (f"{path}, key {key}, changed ({how})" for key, how in state.items())
            elif not any(lockfile.inside(output, path) for output in outputs):  # those follow
                yield f"{path} changed ({state})"
        for path, state in entry.get("changed outs", {}).items():
            if state != absent:
                yield f"{path} changed ({state})"
