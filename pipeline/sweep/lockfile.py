"""What a sweep enters into dvc.lock: each dep's hash, found out once for all stages, and the whole file."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.dvcfile import LOCK_FILE
from dvc.repo import Repo
from dvc.stage import serialize
from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

from pipeline.core import files


def hash_once(known: dict[object, tuple[Any, Any]], dep: Any) -> None:
    """Give the dep its hash of now, which the first stage that has such a dep finds out for all.

    It is not looked at again. So the books tell what the runs were trained from: a file that is edited while
    they train is found changed by the next command.
    """
    key = (dep.def_path, tuple(map(str, dep.params)) if isinstance(dep, ParamsDependency) else None)
    if key not in known:
        dep.save()
        known[key] = (dep.hash_info, dep.meta)
    # A copy: YAML writes a list that several stages share as a reference to the first.
    dep.hash_info, dep.meta = copy.deepcopy(known[key])
    dep.get_hash = lambda: dep.hash_info
    dep.changed = lambda: False
    dep.save = lambda: None


def update(repo: Repo, stages: Sequence[Any]) -> None:
    """Enter the stages, in this order. The caller holds the repository's lock.

    As DVC's `Lockfile.dump_stages`, which writes in place: killed then, it leaves half a dvc.lock.
    """
    path = Path(repo.root_dir) / LOCK_FILE
    content: dict[str, Any] = {"schema": "2.0"}
    if path.exists():
        content = parse_yaml_for_update(path.read_text(encoding="utf-8"), str(path)) or content
    known = content.setdefault("stages", {})
    for stage in stages:
        known.update(serialize.to_lockfile(stage))
    files.write_text(path, dumps_yaml(content))
    repo.scm_context.track_file(LOCK_FILE)
