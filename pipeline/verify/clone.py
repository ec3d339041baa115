"""A clean copy of a commit in a temporary folder: its files, and nothing that was computed before."""

import contextlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline import params
from pipeline.core.errors import DownloadError, ToolError
from pipeline.download.sources import VARIABLE
from pipeline.tools import exit_codes, programs
from pipeline.verify import locks
from pipeline.verify.locks import Stage

_OURS = ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV")
_STOPPED = "The stages of the commit do not run to their end in a clean copy: the reason stands above."


class Copy:
    """A clone of one commit, with a DVC cache of its own that is empty.

    Args:
        commit: full hash.
        folder: where to; it must not exist.

    Raises:
        ToolError: git or DVC refuses.
    """

    def __init__(self, root: Path, commit: str, folder: Path) -> None:
        self.folder = folder
        own = str(folder.resolve() / ".dvc" / "tmp" / "site")  # gone with the copy
        self._variables = programs.environment(**dict.fromkeys(_OURS), DVC_SITE_CACHE_DIR=own)
        mirror = _local_mirror(root)
        if mirror and not self._variables.get(VARIABLE):
            self._variables[VARIABLE] = mirror  # relative mirrors are seen from the repository's root
        self._git("clone", "--quiet", "--no-checkout", "--no-hardlinks", str(root.resolve()), str(folder))
        self._git("-C", str(folder), "checkout", "--quiet", "--detach", commit)
        # A machine's or a user's configuration may name a shared cache; what it holds was computed before.
        (folder / ".dvc" / "config.local").write_text(
            "[cache]\n    dir = cache\n[core]\n    autostage = false\n", encoding="utf-8"
        )

    def lock(self) -> dict[str, Stage]:
        """The dvc.lock that lies in the copy.

        Raises:
            ToolError: there is none.
            DataError: it is damaged.
        """
        path = self.folder / "dvc.lock"
        if not path.is_file():
            raise ToolError(
                "dvc.lock: expected it in the commit, found none. Run `dvc repro`, then commit it."
            )
        return locks.read(path)

    def status(self) -> tuple[list[str], dict[str, Any]]:
        """The stages that dvc.yaml and params.yaml ask for, and what `dvc status` says of each.

        Raises:
            ToolError: DVC cannot work with the files.
        """
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        try:
            # From inside, since DVC names stages and files as seen from the current folder.
            with contextlib.chdir(self.folder), Repo() as repo:
                return [stage.addressing for stage in repo.index.stages], repo.status()
        except DvcException as error:
            raise ToolError(
                f"dvc status in a clean copy of the commit: {error}. Mend dvc.yaml or params.yaml."
            ) from error

    def rerun(self, stages: list[str]) -> None:
        """Run stages and what they rest on, all from nothing; afterwards dvc.lock knows these alone.

        Raises:
            DownloadError: the data set could not be had.
            ToolError: another stage fails; its own message stands above.
        """
        self._run(*stages)

    def rerun_alone(self, stage: str) -> None:
        """Run one stage on what lies in the copy; afterwards dvc.lock knows it alone.

        Raises:
            ToolError: it fails; its own message stands above.
        """
        self._run("--single-item", stage)

    def _run(self, *arguments: str) -> None:
        (self.folder / "dvc.lock").unlink(missing_ok=True)
        with exit_codes.collected(self.folder) as ended:
            variables = self._variables | ended.variables
            if (
                programs.dvc("repro", "--no-run-cache", *arguments, folder=self.folder, variables=variables)
                == 0
            ):
                return
            if ended.lacked_data():
                raise DownloadError(
                    "The data set could not be had in a clean copy: the reason stands above. "
                    f"With a network or {VARIABLE}=<folder or address>, run `verify` again."
                )
            raise ToolError(_STOPPED)

    def _git(self, *arguments: str) -> None:
        programs.git("-c", "core.hooksPath=/dev/null", *arguments, variables=self._variables)


def temporary() -> Path:
    return Path(tempfile.mkdtemp(prefix="verify-"))


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def cache(root: Path) -> Path:
    """Where DVC keeps the outputs of the repository at `root`."""
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    done = subprocess.run(
        command, cwd=root, env=programs.environment(), capture_output=True, text=True, check=False
    )
    return Path(done.stdout.strip()) if done.returncode == 0 else root / ".dvc" / "cache"


def _local_mirror(root: Path) -> str | None:
    folders = [
        root / mirror for mirror in params.load(root / "params.yaml").data.mirrors if "://" not in mirror
    ]
    return next((str(folder.resolve()) for folder in folders if folder.is_dir()), None)
