"""A lock for commands of which one process may work at a time."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.core.errors import ToolError


@contextlib.contextmanager
def exclusive(path: Path, name: str, timeout: float = 0) -> Iterator[None]:
    """Hold the lock file `path`; the file beside it that ends in `.pid` says which process does.

    Args:
        name: what is exclusive, as in "sweep in this repository".
        timeout: seconds to wait for another process.

    Raises:
        ToolError: the other one is still at work.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = path.with_name(f"{path.name}.pid")
    try:
        lock = FileLock(path).acquire(timeout=timeout)
    except Timeout:
        process = holder.read_text(encoding="utf-8") if holder.exists() else "unknown"
        raise ToolError(
            f"expected to be the only {name}, got another one at work (process {process}). "
            "Wait for it, or end it with Ctrl-C; then start this one again."
        ) from None
    with lock:
        holder.write_text(str(os.getpid()), encoding="utf-8")
        yield
