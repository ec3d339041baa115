"""DVC and git, called as programs: with this environment's Python first on the path, and errors in words."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.core.errors import ToolError

_GIT = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_DIR", "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX", "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE", "GIT_WORK_TREE",
)  # fmt: skip
"""What `git rev-parse --local-env-vars` lists, but for options given with `git -c`. Git sets them for its
hooks and aliases, where any command may be called; they name one repository whatever the folder is, and git
would write into that one."""


def environment(**changes: str | None) -> dict[str, str]:
    """The process's environment with this Python's folder first in PATH; None removes a variable.

    dvc.yaml says `python`: with this it is the Python that runs us, whether or not a shell activated it.
    And git finds its repository by the folder, also under a hook of another one.
    """
    variables = {name: value for name, value in os.environ.items() if name not in _GIT}
    variables["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), variables.get("PATH", os.defpath)))
    for name, value in changes.items():
        if value is None:
            variables.pop(name, None)
        else:
            variables[name] = value
    return variables


def dvc(*arguments: str, folder: Path | None = None, variables: Mapping[str, str] | None = None) -> int:
    """Run DVC where its output is seen; return its exit code."""
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=folder, env=variables or environment(), check=False).returncode


def pipeline(*arguments: str, folder: Path | None = None, variables: Mapping[str, str] | None = None) -> int:
    """Run `python -m pipeline` where its output is seen; return its exit code."""
    command = [sys.executable, "-m", "pipeline", *arguments]
    return subprocess.run(command, cwd=folder, env=variables or environment(), check=False).returncode


def git(*arguments: str, folder: Path | None = None, variables: Mapping[str, str] | None = None) -> str:
    """Run git on the repository that `folder` is in and return what it prints.

    Raises:
        ToolError: git is not there, or refuses.
    """
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=variables or environment(),
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError:
        raise ToolError("git: expected it on the path, found none. Install git.") from None
    except subprocess.CalledProcessError as error:
        raise ToolError(f"git {_subcommand(arguments)}: {error.stderr.strip()}") from None
    return done.stdout


def _subcommand(arguments: Sequence[str]) -> str:
    left = iter(arguments)
    for one in left:
        if one not in ("-c", "-C"):
            return one
        next(left, None)
    return ""


def copy_checkout(target: Path) -> None:
    """Copy the files that git knows or would add, as they are now, into `target`: a repository of its own.

    Data, results' cached files, DVC's cache and MLflow's store stay behind; git ignores them.
    """
    names = git("ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
    for name in filter(None, names):
        source = Path(name)
        if source.is_file():
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(source.read_bytes())
    git("init", "--quiet", folder=target)
    git("add", "--all", folder=target)
    ours = ("-c", "user.name=copy", "-c", "user.email=copy@localhost", "-c", "commit.gpgsign=false")
    git(*ours, "commit", "--quiet", "--no-verify", "-m", "A copy of the working tree", folder=target)
