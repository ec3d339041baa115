"""Facts about this process and this checkout that belong beside a run, but do not determine it: tags."""

import contextlib
import getpass
import os
import subprocess

from pipeline.tools import machine

_DVC = {"dvc.stage": "DVC_STAGE", "dvc.experiment": "DVC_EXP_NAME", "dvc.baseline": "DVC_EXP_BASELINE_REV"}
_OUTPUTS = (":(exclude)dvc.lock", ":(exclude)report")
"""What a study writes into the tree while it runs: a change there says nothing about what was run."""


def process() -> dict[str, str]:
    """Where and by whom the run is trained: user, DVC stage and experiment, processor, versions, commit."""
    tags = {tag: os.environ[name] for tag, name in _DVC.items() if os.environ.get(name)}
    tags |= {f"machine.{name}": value for name, value in machine.describe().items()}
    with contextlib.suppress(KeyError, OSError):  # a container's user may have no name
        tags["mlflow.user"] = getpass.getuser()
    return tags | commit() | {"mlflow.source.name": "python -m pipeline train", "mlflow.source.type": "LOCAL"}


def commit() -> dict[str, str]:
    """The checked-out commit and whether tracked files differ from it; nothing where there is no git."""
    try:
        head = _git("rev-parse", "HEAD")
        changes = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *_OUTPUTS)
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"mlflow.source.git.commit": head, "mlflow.source.git.dirty": str(bool(changes)).lower()}


def _git(*arguments: str) -> str:
    command = ["git", "--no-optional-locks", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
