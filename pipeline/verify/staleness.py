"""What a commit's own files say against its dvc.lock, without running anything. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.verify import locks
from pipeline.verify.locks import Lock


def find(stages: Iterable[str], status: Mapping[str, Any], lock: Lock) -> list[str]:
    """Sentences about what changed since dvc.lock was written.

    Args:
        stages: those that dvc.yaml and params.yaml ask for.
        status: what `dvc status` says in a clean copy, where every output that git does not hold is missing.
        lock: the commit's dvc.lock.
    """
    missing = [stage for stage in stages if stage not in lock]
    found = (
        [f"dvc.lock does not know {locks.listed(missing)}, which params.yaml asks for."] if missing else []
    )
    outputs = {path for entry in lock.values() for path in entry.outs}
    changed: dict[str, list[str]] = {}
    for stage, entries in status.items():
        if stage in missing:
            continue
        for entry in entries:
            for what in _changes(entry, outputs):
                changed.setdefault(what, []).append(stage)
    return found + [
        f"{what} since {locks.listed(names)} ran: dvc.lock does not follow from it."
        for what, names in changed.items()
    ]


def _changes(entry: str | Mapping[str, Any], outputs: set[str]) -> Iterable[str]:
    """From one entry of `dvc status` the things that changed, as the subject and verb of a sentence."""
    if isinstance(entry, str):  # "changed command" and the like
        yield f"The {entry.removeprefix('changed ')} in dvc.yaml changed"
        return
    for path, state in (entry.get("changed deps") or {}).items():
        if isinstance(state, Mapping):
            for key, how in state.items():
                yield f"{path}, key {key}, changed ({how})"
        elif not _is_output(path, outputs):  # whether stages agree about those, dvc.lock tells by itself
            yield f"{path} changed ({state})"
    for path, state in (entry.get("changed outs") or {}).items():
        if state != "not in cache":  # those that git does not hold are not in a clean copy
            yield f"{path}, which git holds, changed ({state})"


def _is_output(path: str, outputs: set[str]) -> bool:
    return any(path == output or output.startswith(f"{path}/") for output in outputs)
