"""The published files from wherever they can be had: folders and addresses, tried in order.

A source is trusted with nothing: a file gets its name only after its size and SHA-256 proved right, a server
can neither send more than the file's size nor keep us waiting for long.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.core import files
from pipeline.core.datasets import File
from pipeline.core.errors import DataError, DownloadError, without_login
from pipeline.download.transfer import FileRefusedError, Patience, SourceDownError, fetch

VARIABLE = "MNIST_MIRROR"


class Source(NamedTuple):
    """A folder or an http(s) address under which the files lie, and who named it."""

    address: str
    named_by: str

    def __str__(self) -> str:
        return f"{without_login(self.address)} ({self.named_by})"


def sources(mirrors: Iterable[str]) -> list[Source]:
    """The environment's source first, then the configured ones; a source named twice is asked once."""
    named = {mirror: Source(mirror, VARIABLE) for mirror in [os.environ.get(VARIABLE, "").strip()] if mirror}
    for mirror in mirrors:
        named.setdefault(mirror, Source(mirror, "data.mirrors"))
    return list(named.values())


def collect(
    wanted: Sequence[File], from_sources: Sequence[Source], folder: Path, patience: Patience | None = None
) -> dict[str, str]:
    """Have every file in `folder`; those that lie there and are right already are left as they are.

    Returns:
        For each file's name where it came from.

    Raises:
        DownloadError: some file is to be had nowhere; lists each source with its reason.
        DataError: `folder` cannot be one.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder}: expected a folder for the data set's files, got: {error.strerror}. "
            "Move away what is there."
        ) from error
    origins = {file.name: "already there" for file in wanted if is_right(folder / file.name, file)}
    reasons: dict[str, list[str]] = {}  # what was said, about which files of the source; none: about it all
    for source in from_sources:
        missing = [file for file in wanted if file.name not in origins]
        for file in missing:
            try:
                fetch(file, source.address, folder, patience or Patience())
                origins[file.name] = f"from {source}"
            except FileRefusedError as error:
                reasons.setdefault(f"{source}: {error}", []).append(file.name)
            except SourceDownError as error:
                reasons[f"{source}: {error}"] = []
                break
    if lacking := [file.name for file in wanted if file.name not in origins]:
        raise DownloadError(_explain(lacking, reasons))
    return origins


def is_right(path: Path, file: File) -> bool:
    """Whether the published file, byte for byte, lies at `path`."""
    return (
        file.published is not None
        and path.is_file()
        and path.stat().st_size == file.published.size
        and files.sha256(path) == file.published.sha256
    )


def _explain(missing: Sequence[str], reasons: Mapping[str, Sequence[str]]) -> str:
    lines = [f"{said} ({', '.join(names)})" if names else said for said, names in reasons.items()]
    return "\n".join(
        [
            f"expected MNIST's files, could not get {', '.join(missing)}:",
            *(f"  {line}" for line in lines or [f"no source: {VARIABLE} and data.mirrors are empty"]),
            "Two ways out:",
            f"  {VARIABLE}=<folder or address> dvc repro   takes the four files from there",
            "  make demo   runs the whole pipeline on a small sample that needs no network",
        ]
    )
