"""The run key: one hash of all that determines a run. Checkpoints and tracking both go by it."""

import functools
import hashlib
import json
import operator
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.core import files


def run_key(params: Mapping[str, Any], learning_rate: float, seed: int, root: Path = Path()) -> str:
    """Hash what dvc.yaml names as the train stage's inputs, and the run's rate and seed.

    dvc.yaml is the one list of what can change a run's outputs; a test compares it with the real imports.
    Going by the same list, the key changes when DVC would train again, but for a changed command.

    Args:
        params: the sections of params.yaml, as `Params.values` gives them.
        root: the folder that holds dvc.yaml, against which its paths are resolved.

    Returns:
        64 hexadecimal digits; the same for equal runs on every machine.
    """
    return digest(inputs(params, root) | {"learning_rate": learning_rate, "seed": seed})


def inputs(params: Mapping[str, Any], root: Path = Path()) -> dict[str, Any]:
    """Collect what all runs of a study share: hashes of code and data, parameter values, package versions."""
    definition = YAML(typ="safe", pure=True).load((root / "dvc.yaml").read_text(encoding="utf-8"))
    train = definition["stages"]["train"]
    names = sorted(name for name in train["params"] if isinstance(name, str))
    return {
        "files": {path: files.sha256(root / path) for path in sorted(train["deps"])},
        "params": {name: functools.reduce(operator.getitem, name.split("."), params) for name in names},
        "packages": pinned_packages(root),
    }


def pinned_packages(root: Path = Path()) -> list[str]:
    """Read the packages that pyproject.toml pins for training, as `name==version`."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins: list[str] = project["optional-dependencies"]["train"]
    return pins


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
