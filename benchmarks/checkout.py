"""A copy of the working tree to measure in."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.tools import programs
from pipeline.tracking import live_log


@contextlib.contextmanager
def scratch_copy() -> Iterator[Path]:
    """Make a copy for as long as it is needed: also until MLflow has its runs."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "study"
        copy.mkdir()
        copy_checkout(copy)
        yield copy
        while live_log.is_held(copy / ".scratch/live/follower.lock"):
            time.sleep(0.2)


def copy_checkout(target: Path) -> None:
    """Copy the files that git knows or would add, as they are now, into `target`: a repository of its own."""
    names = programs.git("ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
    for name in filter(os.path.isfile, names):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(Path(name).read_bytes())
    programs.git("init", "--quiet", folder=target)
    programs.git("add", "--all", folder=target)
    author = ("-c", "user.name=copy", "-c", "user.email=copy@localhost", "-c", "commit.gpgsign=false")
    programs.git(*author, "commit", "--quiet", "-m", "A copy of the working tree", folder=target)
