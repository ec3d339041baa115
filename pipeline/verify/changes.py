"""What was changed since dvc.lock was written, as DVC sees it; nothing is run."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pipeline.verify import lockfile
from pipeline.verify.lockfile import Lock

ABSENT = ("not in cache",)
"""What DVC says of outputs that a clone with an empty cache lacks; of one that git holds: `deleted`."""
NOT_HERE = (*ABSENT, "deleted")
"""The same of those that a working folder lacks."""


def since(lock: Lock, status: Mapping[str, Any], absent: Collection[str], so: str) -> list[str]:
    """Say what dvc.lock does not follow from.

    Args:
        status: of `dvc status`.
        absent: which states of outputs are no change.
        so: what follows from a change: the end of each sentence.
    """
    changed: dict[str, list[str]] = {}
    outputs = lockfile.outputs(lock)
    for stage in lock:
        for change in _changes(status.get(stage, ()), outputs, absent):
            changed.setdefault(change, []).append(stage)
    return [f"{change} since {lockfile.first_few(names)} ran{so}" for change, names in changed.items()]


def _changes(
    entries: Iterable[str | Mapping[str, Any]], outputs: Collection[str], absent: Collection[str]
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
            if state not in absent:
                yield f"{path} changed ({state})"
