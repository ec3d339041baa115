"""A clone of a commit in a temporary folder: its files, and nothing that was computed before."""

import contextlib
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
from pipeline.verify.hashes import Files

Find = Callable[[str, str], Files | None]
"""From an output's path and MD5 to its files as they were recorded; None if nobody has them."""

_CONTEXT = ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV")


class Clone:
    """A clone of the commit that is checked out at `root`, with an empty DVC cache of its own.

    Args:
        folder: where to; it must not exist.

    Raises:
        ToolError: git refuses.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        site = str(folder.resolve() / ".dvc/tmp/site")  # gone with the clone
        own = {"DVC_SITE_CACHE_DIR": site, live_log.SWITCH: "off"}
        self._variables = programs.environment(**dict.fromkeys(_CONTEXT), **own)
        data = params.load(root / "params.yaml").data
        self._mirror = sources.variable(data.dataset)
        mirrors = (root / mirror for mirror in getattr(data.mirrors, data.dataset, ()))
        if mirror := next((mirror for mirror in mirrors if mirror.is_dir()), None):
            self._variables.setdefault(self._mirror, str(mirror.resolve()))  # relative to the repository
        programs.git("clone", "--quiet", "--no-hardlinks", str(root.resolve()), str(folder))
        # A machine's or a user's configuration may name a shared cache; what it holds was computed before.
        (folder / ".dvc/config.local").write_text(
            "[cache]\n    dir = cache\n[core]\n    autostage = false\n", encoding="utf-8"
        )

    def add(self, outputs: Mapping[str, str], find: Find) -> list[str]:
        """Copy what was recorded into the clone, if all of it is to be had; return what nobody has."""
        recorded = {path: find(path, md5) for path, md5 in outputs.items()}
        if missing := [path for path, files in recorded.items() if files is None]:
            return missing
        for path, files in recorded.items():
            for name, source in (files or {}).items():
                target = self.folder / path / name if outputs[path].endswith(".dir") else self.folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        return []

    def rerun(self, *arguments: str) -> None:
        """Call `dvc repro` without its run cache; afterwards dvc.lock knows the stages that ran alone.

        Raises:
            DownloadError: the data set is not to be had.
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

    Raises:
        ToolError: DVC cannot work with its files.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with contextlib.chdir(root), Repo() as repo:
            yield repo
    except DvcException as error:
        raise ToolError(f"DVC: {error}. Correct dvc.yaml, params.yaml or .dvc/config.") from error
