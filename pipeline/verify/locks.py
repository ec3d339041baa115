"""dvc.lock as data: what it says about each stage, whether it agrees with itself, which runs to try."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core.errors import DataError


class Stage(NamedTuple):
    """Attributes:

    deps, outs: the MD5 that DVC recorded for each path; a folder's ends with `.dir`.
    """

    deps: dict[str, str]
    outs: dict[str, str]


Lock = Mapping[str, Stage]
"""The stages of a dvc.lock, by name."""


def parse(text: str, name: str = "dvc.lock") -> dict[str, Stage]:
    """Read a dvc.lock.

    Args:
        name: what to call it in an error.

    Raises:
        DataError: it is not what DVC writes.
    """
    try:
        stages = YAML(typ="safe", pure=True).load(text)["stages"]
        return {
            str(stage): Stage(_hashes(entry.get("deps", [])), _hashes(entry.get("outs", [])))
            for stage, entry in stages.items()
        }
    except (YAMLError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{name}: expected what DVC writes, got something else ({problem}). "
            "Bring it back with git, or make it again with `dvc repro`."
        ) from error


def read(path: Path) -> dict[str, Stage]:
    """Like `parse`, from a file.

    Raises:
        DataError: it is not what DVC writes.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path.name}: expected what DVC writes, got something else ({error}). "
            "Bring it back with git, or make it again with `dvc repro`."
        ) from error


def inside(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies in it."""
    return path == folder or path.startswith(f"{folder}/")


def outputs(lock: Lock, stages: Iterable[str]) -> dict[str, str]:
    """The MD5 of every output of these stages, by its path."""
    return {path: md5 for stage in stages if stage in lock for path, md5 in lock[stage].outs.items()}


def contradictions(lock: Lock) -> list[str]:
    """Where a stage is said to have used something else than another stage is said to have made.

    A folder that several stages fill is more than this knows: see `folders`.
    """
    made = {path: (stage, md5) for stage, entry in lock.items() for path, md5 in entry.outs.items()}
    users: dict[tuple[str, str], list[str]] = {}
    for stage, entry in lock.items():
        for path, md5 in entry.deps.items():
            if path in made and made[path][1] != md5:
                users.setdefault((path, md5), []).append(stage)
    return [
        f"dvc.lock contradicts itself: {listed(stages)} used {path} with the MD5 {md5}, "
        f"but {made[path][0]} made it with {made[path][1]}."
        for (path, md5), stages in users.items()
    ]


def differences(before: Lock, after: Lock) -> list[str]:
    """The stages whose entries differ, or which one of two locks lacks."""
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]


def choose(seed: str, names: Iterable[str], count: int) -> list[str]:
    """`count` of the names, by a draw that depends on the seed alone.

    Args:
        seed: the commit's hash, so that everybody draws the same; and what a verifier adds, since who makes a
            commit can make it again until the draw suits.

    Returns:
        In the order of `names`; all of them where there are no more than `count`.
    """
    known = list(names)
    drawn = sorted(known, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    return [name for name in known if name in set(drawn[:count])]


def listed(names: Sequence[str]) -> str:
    """`a, b and 3 more`: enough to know where to look."""
    shown = 2
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")


def _hashes(entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {str(entry["path"]): str(entry["md5"]) for entry in entries}
