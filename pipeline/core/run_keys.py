"""The run key: one hash of all that determines a run. Checkpoints and tracking both go by it."""

import functools
import hashlib
import json
import operator
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.core import files


def key_of(study: Mapping[str, Any], learning_rate: float, seed: int) -> str:
    """Give the key of one of a study's runs, by the study's `inputs`: 64 hexadecimal digits."""
    return digest({**study, "learning_rate": learning_rate, "seed": seed})


def inputs(
    params: Mapping[str, Any], root: Path = Path(), *, stage: str = "train", written: bool = True
) -> dict[str, Any]:
    """Collect what all runs of a study share: hashes of code and data, parameter values, package versions.

    dvc.yaml is the one list of what can change a run's outputs; a test compares it with the real imports.
    Going by the same list, a key changes when DVC would train again, but for a changed command.

    Args:
        params: the sections of params.yaml, as `Params.values` gives them.
        root: the folder that holds dvc.yaml, against which its paths are resolved.
        stage: another stage than that of the runs.
        written: whether to hash what other stages write, too.
    """
    definition = YAML(typ="safe", pure=True).load((root / "dvc.yaml").read_text(encoding="utf-8"))
    stages = definition["stages"]
    outs = () if written else {out for other in stages.values() for out in map(_path, other.get("outs", ()))}

    def value(name: str) -> Any:
        return functools.reduce(operator.getitem, name.split("."), params)

    # `${network.file}` stands for that value, as in DVC.
    deps = [
        re.sub(r"\$\{(.+?)\}", lambda match: value(match[1]), path) for path in stages[stage].get("deps", ())
    ]
    deps = [path for path in deps if not any(f"{out}/".startswith(f"{path}/") for out in outs)]
    return {
        "files": {path: files.sha256(root / path) for path in sorted(deps)},
        "params": {name: value(name) for name in sorted(stages[stage].get("params", ()))},
        "packages": pinned_packages(),
    }


def _path(out: str | dict[str, Any]) -> str:
    return out if isinstance(out, str) else next(iter(out))


def pinned_packages() -> list[str]:
    """Read the packages that are pinned since they can change a run's bytes, as `name==version`."""
    lines = (Path(__file__).parents[1] / "train/requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if "==" in line]


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
