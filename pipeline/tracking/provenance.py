"""When, where and by whom a run was trained: what belongs beside a run but does not determine it.

No output may hold it, since equal runs have equal bytes. A run's live log does.
"""

import contextlib
import functools
import getpass
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pipeline.core.errors import ToolError
from pipeline.tools import machine, programs

_DVC = {"dvc.stage": "DVC_STAGE", "dvc.experiment": "DVC_EXP_NAME", "dvc.baseline": "DVC_EXP_BASELINE_REV"}
_OUTPUTS = (":(exclude)dvc.lock", ":(exclude)report")  # a change there says nothing about what was run


class Provenance(NamedTuple):
    """Start, end (None: unknown) and epochs' ends of a run in milliseconds since 1970; tags for the rest."""

    started: int | None
    ended: int | None
    tags: dict[str, str]
    times: Mapping[int, int] = MappingProxyType({})


@functools.cache
def process() -> dict[str, str]:
    """Describe this process in tags: user, DVC stage and experiment, processor, versions, commit."""
    tags = {tag: os.environ[name] for tag, name in _DVC.items() if os.environ.get(name)}
    tags |= {f"machine.{name}": value for name, value in machine.describe().items()}
    with contextlib.suppress(KeyError, OSError):  # a container's user may have no name
        tags["mlflow.user"] = getpass.getuser()
    return (
        tags | git_tags() | {"mlflow.source.name": "python -m pipeline train", "mlflow.source.type": "LOCAL"}
    )


def git_tags() -> dict[str, str]:
    """Tag the checked-out commit and whether tracked files differ from it; nothing where there is no git."""
    status = ("status", "--porcelain", "--untracked-files=no", "--", ".", *_OUTPUTS)
    try:
        head = programs.git("rev-parse", "HEAD").strip()
        changes = programs.git("--no-optional-locks", *status)
    except (OSError, ToolError):
        return {}
    return {"mlflow.source.git.commit": head, "mlflow.source.git.dirty": str(bool(changes)).lower()}
