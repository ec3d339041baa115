"""DVC, git and the pipeline as programs: with this Python first on the path, and errors in words."""

import functools
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.core.errors import ToolError

_NO_SETTINGS = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
}
"""For git: no settings of a user or a machine: they change bytes of a checkout, names, or run programs."""
# A user's files that have a default path, what a repository may set itself, and a container's usual setting.
_SETTINGS = (
    *("-c", f"core.attributesFile={os.devnull}", "-c", f"core.excludesFile={os.devnull}"),
    *("-c", f"core.hooksPath={os.devnull}", "-c", "core.autocrlf=false", "-c", "diff.renames=false"),
    *("-c", "core.fsmonitor=false", "-c", "safe.directory=*"),
)


def environment(**changes: str | None) -> dict[str, str]:
    """Copy the process's environment, with this Python first in PATH; None removes a variable.

    So dvc.yaml's `python` is the one that runs us, and git goes by the folder, also under another one's hook.
    """
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    variables = {**os.environ, **dict.fromkeys(_git_variables()), "PATH": path, **changes}
    return {name: value for name, value in variables.items() if value is not None}


def run_module(
    module: str, *arguments: str, folder: Path | None = None, variables: Mapping[str, str] | None = None
) -> int:
    """Run a Python module where its output is seen; return its exit code.

    Ctrl-C reaches it, too: it has all the time that it needs to save its work.
    """
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, cwd=folder, env=variables or environment())
    try:
        return process.wait()
    except KeyboardInterrupt:  # here `subprocess.run` would kill it
        process.wait()
        raise


dvc = functools.partial(run_module, "dvc")
pipeline = functools.partial(run_module, "pipeline")


def git(*arguments: str, folder: Path | None = None, variables: Mapping[str, str] | None = None) -> str:
    """Run git in `folder`, whatever the user's settings, and return what it prints.

    Raises:
        ToolError: git is not there, or refuses.
    """
    command = ["git", *_SETTINGS, *arguments]
    own = {name: value for name, value in (variables or environment()).items() if not name.startswith("GIT_")}
    try:
        return subprocess.run(
            command, cwd=folder, env=own | _NO_SETTINGS, capture_output=True, text=True, check=True
        ).stdout
    except FileNotFoundError:
        raise ToolError("git: expected it on the path, found none. Install git.") from None
    except subprocess.CalledProcessError as error:
        raise ToolError(f"git {shlex.join(arguments)}: {error.stderr.strip()}") from None


@functools.cache
def _git_variables() -> frozenset[str]:
    """Name the variables by which git ties what its hooks and aliases call to their repository.

    Options given with `git -c`, such as a container's safe.directory, are not among them.
    """
    if not shutil.which("git"):
        return frozenset()
    command = ["git", "rev-parse", "--local-env-vars"]  # what macOS has in git's place may only fail
    names = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return frozenset(names) - {"GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"}
