"""dvc.lock as data: what it says of each stage."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.core.errors import DataError

FILE = "dvc.lock"


class StageHashes(NamedTuple):
    """The MD5 of each path that a stage used and made; a folder's ends with `.dir`."""

    deps: dict[str, str]
    outs: dict[str, str]

    @property
    def paths(self) -> dict[str, str]:
        """Both."""
        return self.deps | self.outs


Lock = Mapping[str, StageHashes]
"""The stages of a dvc.lock, by name."""


def read(path: Path) -> dict[str, StageHashes]:
    """Read the hashes in a dvc.lock.

    Raises:
        DataError: it is not there, or is not what DVC writes.
    """
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from dvc.utils.serialize import ParseError, load_yaml
    from voluptuous import Invalid

    if not path.is_file():
        raise DataError(f"{path.name}: expected DVC's record of the study, found none. Run `dvc repro`.")
    try:
        content = COMPILED_LOCKFILE_SCHEMA(load_yaml(str(path)))
    except (ParseError, Invalid, RecursionError) as error:
        raise DataError(
            f"{path.name}: expected what DVC writes, got something else ({error}). "
            "Bring it back with git, or make it again with `dvc repro`."
        ) from error
    return {
        name: StageHashes(_hashes(entry.get("deps", ())), _hashes(entry.get("outs", ())))
        for name, entry in content.get("stages", {}).items()
    }


def inside(path: str, folder: str) -> bool:
    """Decide whether `path` is `folder` or lies in it."""
    return path == folder or path.startswith(f"{folder}/")


def outputs(lock: Lock) -> dict[str, str]:
    """Map the path of every output to its MD5."""
    return {path: md5 for entry in lock.values() for path, md5 in entry.outs.items()}


def first_few(names: Sequence[str], shown: int = 2) -> str:
    """Name the first few: `a, b and 3 more` is enough to know where to look."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def _hashes(entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {str(entry["path"]): str(entry.get("md5", "none")) for entry in entries}
