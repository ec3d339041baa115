"""What only the process that trained a run knows: when, on which machine, in which DVC experiment.

No output may hold it, since equal runs have equal bytes. It is noted in the scratch folder of the machine, so
that `publish` can say it again when MLflow's store is lost; without the note it says nothing.
"""

from pathlib import Path
from typing import NamedTuple, Self

from pipeline.core import files
from pipeline.core.errors import DataError


class Journal(NamedTuple):
    """Attributes:

    started, ended: milliseconds since 1970; None where nobody noted them.
    tags: where and by whom.
    """

    started: int | None
    ended: int | None
    tags: dict[str, str]

    @classmethod
    def read(cls, key: str) -> Self | None:
        try:
            return cls(**files.read_json(_path(key)))
        except (DataError, TypeError):
            return None

    def write(self, key: str) -> None:
        files.write_json(_path(key), self._asdict())


def _path(key: str) -> Path:
    return files.repository() / ".scratch" / "tracking" / f"{key}.json"
