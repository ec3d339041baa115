"""The exit code of each stage that DVC ran.

DVC says neither which stages it ran nor why one failed, so a stage's command notes its exit code in the file
that this variable names. What DVC did not run, but found up to date or brought back, notes nothing.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.core.datasets import DATASETS
from pipeline.core.errors import DownloadError

VARIABLE = "STUDY_EXIT_CODES"


class ExitCodes:
    """What stages noted in the file at `path`."""

    def __init__(self, path: Path) -> None:
        self.variables = {VARIABLE: str(path.resolve())}
        self._path = path
        path.touch()

    def read(self) -> dict[str, int]:
        """Map a stage's name, as dvc.lock has it, to its exit code."""
        lines = self._path.read_text(encoding="utf-8").splitlines()
        return {stage: int(code) for code, stage in (line.split(" ", 1) for line in lines)}

    def lacked_data(self) -> bool:
        """Decide whether no source delivered the data set.

        A full disk, which looks the same, does not count.
        """
        sizes = [[file.size for file in dataset.published.values()] for dataset in DATASETS.values()]
        needed = max(map(sum, sizes))
        refused = DownloadError.exit_code in self.read().values()
        return refused and shutil.disk_usage(self._path.parent).free >= needed


@contextlib.contextmanager
def collected(root: Path = Path()) -> Iterator[ExitCodes]:
    """Collect the exit codes of a DVC at `root` that gets `variables`; afterwards the file is gone."""
    notes = root / ".dvc/tmp"
    notes.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="exit-codes-", dir=notes, ignore_cleanup_errors=True) as folder:
        yield ExitCodes(Path(folder) / "exit-codes")


def note(code: int) -> None:
    """Note how this stage ends, if a DVC that runs it asked for that."""
    path, stage = os.environ.get(VARIABLE), os.environ.get("DVC_STAGE")
    if path and stage:
        # Who asked may be gone, or the disk full: neither is a reason for the stage to fail.
        with contextlib.suppress(OSError), Path(path).open("a", encoding="utf-8") as stream:
            stream.write(f"{code} {stage}\n")
