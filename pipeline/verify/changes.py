"""What was changed since dvc.lock was written, in the commit and in the working folder; nothing is run."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.tools import programs
from pipeline.verify import hashes, lockfile
from pipeline.verify.lockfile import Lock


def committed(stages: Iterable[str], status: Mapping[str, Any], lock: Lock) -> list[str]:
    """Say what the commit holds that dvc.lock does not follow from.

    Args:
        stages: those that dvc.yaml and params.yaml ask for.
        status: `dvc status` in a clone, which lacks every output that git does not hold.
        lock: what the commit's dvc.lock says of these stages.
    """
    problems = []
    if unknown := [stage for stage in stages if stage not in lock]:
        problems.append(f"dvc.lock does not know {lockfile.first_few(unknown)}, which params.yaml asks for.")
    changed: dict[str, list[str]] = {}
    for stage in lock:
        for change in _changes(status.get(stage, ()), lockfile.outputs(lock)):
            changed.setdefault(change, []).append(stage)
    return problems + [
        f"{change} since {lockfile.first_few(names)} ran: dvc.lock does not follow from it."
        for change, names in changed.items()
    ]


def uncommitted(root: Path, lock: Lock) -> list[str]:
    """Name the changed files here that belong to the study, whose commit a rerun takes; print the others."""
    names = programs.git("diff", "--name-only", "-z", "HEAD", folder=root).split("\0")[:-1]
    watched = {path for entry in lock.values() for path in (*entry.deps, *entry.outs)} | {lockfile.FILE}
    study = [name for name in names if any(lockfile.inside(name, path) for path in watched)]
    if others := [name for name in names if name not in study]:
        print(f"verify: not committed, so not looked at: {lockfile.first_few(others)}")
    return [
        f"{name} here is not the committed one: commit what `dvc repro` makes of it, or "
        f"`git checkout {name}`."
        for name in study
    ]


def changed_outputs(root: Path, lock: Lock) -> tuple[list[str], set[str]]:
    """Name the outputs in the working folder that are not those of dvc.lock, and whose they are."""
    problems, stages = [], set()
    for stage, entry in lock.items():
        for path, md5 in entry.outs.items():
            if (root / path).exists() and (got := hashes.md5(root / path, root)) != md5:
                stages.add(stage)
                problems.append(
                    f"{path} here is not what dvc.lock says: expected the MD5 {md5}, got {got}. "
                    f"`dvc checkout {path}` brings the recorded one back, `dvc repro -f` makes it again."
                )
    return problems, stages


def _changes(entries: Iterable[str | Mapping[str, Any]], outputs: Iterable[str]) -> Iterable[str]:
    """Put what `dvc status` says of a stage into subject and verb."""
    for entry in entries:
        if isinstance(entry, str):  # "changed command" and the like
            yield f"The {entry.removeprefix('changed ')} in dvc.yaml changed"
            continue
        for path, state in entry.get("changed deps", {}).items():
            if isinstance(state, Mapping):
                yield from (f"{path}, key {key}, changed ({how})" for key, how in state.items())
            elif not any(lockfile.inside(output, path) for output in outputs):  # see `contradictions`
                yield f"{path} changed ({state})"
        for path, state in entry.get("changed outs", {}).items():
            if state != "not in cache":
                yield f"{path}, which git holds, changed ({state})"
