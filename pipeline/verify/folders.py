"""Folders that one stage uses and several others fill: `runs`, of which each run is a part.

No stage makes such a folder as one thing, so dvc.lock has its hash from the stage that used it alone. It must
be the hash of the parts that the other stages made and of the files that git holds there.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline.tools import programs
from pipeline.verify import hashes, locks
from pipeline.verify.locks import Lock

Listing = Callable[[str, str], Mapping[str, str] | None]
"""From an output's path and MD5 to the MD5 of each of its files; None if nobody knows them."""


class Folder(NamedTuple):
    """Attributes:

    stage: which used it.
    md5: what dvc.lock says of it.
    parts: the MD5 of what the stages of params.yaml made in it, by path.
    left: the same of stages that dvc.lock remembers and params.yaml no longer asks for.
    held: the MD5 of the files that git holds in it, by path.
    """

    stage: str
    path: str
    md5: str
    parts: dict[str, str]
    left: dict[str, str]
    held: dict[str, str]


def used(lock: Lock, stages: Iterable[str], clone: Path) -> list[Folder]:
    """The folders that these stages used as one thing.

    Args:
        clone: a clean copy of the commit.
    """
    asked = [stage for stage in stages if stage in lock]
    made, ever = locks.outputs(lock, asked), locks.outputs(lock, lock)
    found = []
    for stage in asked:
        for path, md5 in lock[stage].deps.items():
            parts = {out: of for out, of in made.items() if locks.inside(out, path)}
            if not parts or path in ever:
                continue
            left = {out: of for out, of in ever.items() if locks.inside(out, path) and out not in made}
            names = programs.git("ls-files", "-z", "--", path, folder=clone).split("\0")[:-1]
            held = {
                name: hashes.of_file(clone / name)
                for name in names
                if not any(locks.inside(name, out) for out in (*parts, *left))
            }
            found.append(Folder(stage, path, md5, parts, left, held))
    return found


def check(folder: Folder, listing: Listing) -> tuple[list[str], list[str]]:
    """Whether the folder's hash follows from its parts.

    Returns:
        A sentence if it does not, and one if that cannot be told.
    """
    files, unknown = _files(folder.parts, listing)
    got = _hash(folder, files)
    if not unknown and got != folder.md5 and folder.left:
        # Runs of a rate that was taken out of params.yaml stay where they are, and DVC counts them.
        more, unknown = _files(folder.left, listing)
        if _hash(folder, files | more) == folder.md5:
            return [], []
    if unknown:
        return [], [
            f"{folder.path}, as {folder.stage} used it: neither this folder nor DVC's cache says what is in "
            f"{locks.listed(unknown)}. `dvc pull` brings it, `--all` makes it."
        ]
    if got == folder.md5:
        return [], []
    return [
        f"dvc.lock contradicts itself: {folder.stage} used {folder.path} with the MD5 {folder.md5}, but what "
        f"the other stages made in it has {got}. Remove what else lies in {folder.path}, if anything does."
    ], []


def _files(parts: Mapping[str, str], listing: Listing) -> tuple[dict[str, str], list[str]]:
    """The MD5 of each file of the parts, by path; and the parts that nobody knows."""
    files, unknown = {}, []
    for path, md5 in parts.items():
        if not md5.endswith(".dir"):
            files[path] = md5
        elif (names := listing(path, md5)) is None:
            unknown.append(path)
        else:
            files |= {f"{path}/{name}": of for name, of in names.items()}
    return files, unknown


def _hash(folder: Folder, files: Mapping[str, str]) -> str:
    return hashes.of_folder(
        {path.removeprefix(f"{folder.path}/"): md5 for path, md5 in {**folder.held, **files}.items()}
    )
