"""A clone of a commit in a temporary folder: its files, and nothing that was computed before."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import params
from pipeline.core.errors import DownloadError, ToolError
from pipeline.download import sources
from pipeline.tools import exit_codes, programs
from pipeline.tracking import live_log
from pipeline.verify import lockfile

Files = Mapping[str, Path]
"""Where each file of an output lies, by its name in it; a single file has the name of its path."""
Find = Callable[[str, str], Files | None]
"""From an output's path and MD5 to its files as they were recorded; None if nobody has them."""

_CONTEXT = ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV")


class Clone:
    """A clone of the commit that is checked out at `root`, with an empty DVC cache of its own.

    Args:
        root: the study, which may be a folder in a repository.
        folder: where to; it must not exist.

    Raises:
        ToolError: git refuses.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        up, within = programs.git("rev-parse", "--show-cdup", "--show-prefix", folder=root).split("\n")[:2]
        programs.git("clone", "--quiet", "--no-hardlinks", str((root / up).resolve()), str(folder))
        self.folder = folder / within
        self._variables = programs.environment(**dict.fromkeys(_CONTEXT), **{live_log.SWITCH: "off"})
        data = params.load(root / "params.yaml").data
        self._mirror = sources.variable(data.dataset)
        named = (self._variables.get(self._mirror, "").strip(), *getattr(data.mirrors, data.dataset, ()))
        if mirror := next((root / name for name in named if name and (root / name).is_dir()), None):
            self._variables[self._mirror] = str(mirror.resolve())  # it may be relative to the repository
        # A machine's or a user's configuration may name a shared cache; what it holds was computed before.
        (self.folder / ".dvc/config.local").write_text(
            "[cache]\n    dir = cache\n[core]\n    autostage = false\n", encoding="utf-8"
        )

    def add(self, recorded: Mapping[str, str], find: Find) -> list[str]:
        """Copy what was recorded into the clone, if all of it is available; return what nobody has."""
        outputs = {path: find(path, md5) for path, md5 in recorded.items()}
        if missing := [path for path, files in outputs.items() if files is None]:
            return missing
        for path, files in outputs.items():
            for name, source in (files or {}).items():
                target = self.folder / path / name if recorded[path].endswith(".dir") else self.folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        return []

    def rerun(self, *arguments: str) -> None:
        """Call `dvc repro` without its run cache; afterwards dvc.lock knows the stages that ran alone.

        Raises:
            DownloadError: no source delivered the data set.
            ToolError: another stage fails; its own message stands above.
        """
        (self.folder / lockfile.FILE).unlink()
        with exit_codes.collected(self.folder) as codes:
            variables = self._variables | codes.variables
            command = ("repro", "--no-run-cache", *arguments)
            failed = programs.dvc(*command, folder=self.folder, variables=variables) != 0
            if failed and codes.lacked_data():
                raise DownloadError(
                    "The clone could not get the data set: the reason stands above. "
                    f"With a network or {self._mirror}=<folder or address>, run `verify` again."
                )
        if failed:
            raise ToolError("The stages of the commit do not run to their end in a clone: see above.")


@contextlib.contextmanager
def open_repository(root: Path) -> Iterator[Any]:
    """Open DVC's repository at `root` from inside, since DVC names files as seen from the current folder.

    Its lock waits until no other DVC process holds it.

    Raises:
        ToolError: DVC cannot work with its files.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with contextlib.chdir(root), Repo(_wait_for_lock=True) as repo:
            yield repo
    except DvcException as error:
        raise ToolError(f"DVC: {error}. Correct dvc.yaml, params.yaml or .dvc/config.") from error


def find(path: str, md5: str, root: Path, cache: Path) -> Files | None:
    """Find an output in the folder where DVC keeps objects by their MD5, or else in the working folder.

    Neither is hashed here: DVC does so when a stage uses what was found, and `compare` sees it.
    """

    def kept(md5: str) -> Path:
        return cache / md5[:2] / md5[2:]

    if kept(md5).is_file() and not md5.endswith(".dir"):
        return {Path(path).name: kept(md5)}
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):  # no listing, or a damaged one
        listing = {entry["relpath"]: kept(entry["md5"]) for entry in json.loads(kept(md5).read_bytes())}
        # Files are laid out by these names, and whoever forges a listing may write any.
        if all(file.is_file() and not {"", ".."} & {*name.split("/")} for name, file in listing.items()):
            return listing
    return files_of(root / path) if (root / path).exists() else None


def files_of(path: Path) -> Files:
    """List the files of an output as it lies there."""
    if path.is_dir():
        return {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if file.is_file()}
    return {path.name: path}
