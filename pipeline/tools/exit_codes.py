"""How each stage ended that DVC ran: DVC tells its caller neither which ones it ran nor why one failed.

A stage's command notes its exit code in the file that this variable names. What DVC found up to date, or
brought back from its run cache or a remote, notes nothing.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.core.datasets import MNIST
from pipeline.core.errors import DownloadError

VARIABLE = "STUDY_ENDINGS"


class Endings:
    """What stages noted in the file at `path`."""

    def __init__(self, path: Path) -> None:
        self.variables = {VARIABLE: str(path.resolve())}
        self._path = path

    def codes(self) -> dict[str, int]:
        """By a stage's name, as dvc.lock has it, its exit code."""
        if not self._path.exists():
            return {}
        lines = [line.split(" ", 1) for line in self._path.read_text(encoding="utf-8").splitlines()]
        return {stage: int(code) for code, stage in lines}

    def done(self) -> set[str]:
        """The stages that ran to their end."""
        return {stage for stage, code in self.codes().items() if code == 0}

    def lacked_data(self) -> bool:
        """Whether the data set could not be had, and not for want of room, which looks the same."""
        needed = sum(file.size for file in MNIST.published.values())
        refused = DownloadError.exit_code in self.codes().values()
        return refused and shutil.disk_usage(self._path.parent).free >= needed


@contextlib.contextmanager
def collected(root: Path = Path()) -> Iterator[Endings]:
    """For a DVC at `root` that gets `variables`; afterwards the file is gone."""
    place = root / ".dvc" / "tmp"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="endings-", dir=place, ignore_cleanup_errors=True) as folder:
        yield Endings(Path(folder) / "endings")


def note(code: int) -> None:
    """Say how this stage ends; without DVC, or where nobody asks, to nobody."""
    path, stage = os.environ.get(VARIABLE), os.environ.get("DVC_STAGE")
    if path and stage:
        # Who asked may be gone, or the disk full: neither is a reason for the stage to fail.
        with contextlib.suppress(OSError), Path(path).open("a", encoding="utf-8") as stream:
            stream.write(f"{code} {stage}\n")
