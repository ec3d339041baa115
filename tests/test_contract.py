"""What the files promise about each other: dvc.yaml and the imports, params.yaml and its models, the tree."""

import ast
import re
import subprocess
import sys
from functools import cache
from itertools import pairwise

import pytest
from ruamel.yaml import YAML

from pipeline import params
from tests.conftest import ROOT

DVC = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]

NO_DEPS = ("pipeline.params", "pipeline.tracking")
"""Packages that a stage imports and that cannot change its outputs: params.yaml's values are watched as
`params`, and what shows a run in MLflow cannot reach the training."""


@cache
def imports(module: str) -> frozenset[str]:
    """The project's modules that a module imports, also inside functions, with the packages around them."""
    path = ROOT / (module.replace(".", "/") + ".py")
    if not path.exists():
        path = ROOT / module.replace(".", "/") / "__init__.py"
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    names = {name for name in found if name.split(".")[0] == "pipeline" and file_of(name)}
    return frozenset(names | {name.rpartition(".")[0] for name in names} - {""})


def file_of(module: str) -> str | None:
    base = module.replace(".", "/")
    for name in (f"{base}.py", f"{base}/__init__.py"):
        if (ROOT / name).exists():
            return name
    return None


def closure(module: str) -> set[str]:
    """All that can change what a stage writes: its imports' imports, without what only watches."""
    reached, open_ = set(), {module}
    while open_:
        name = open_.pop()
        reached.add(name)
        open_ |= {found for found in imports(name) if not found.startswith(NO_DEPS)} - reached
    return reached


@pytest.mark.parametrize("stage", sorted(DVC))
def test_a_stage_depends_on_every_file_that_can_change_its_outputs(stage: str) -> None:
    deps = [dep for dep in DVC[stage]["deps"] if dep.startswith("pipeline/") and not dep.endswith(".txt")]
    needed = {str(file_of(module)) for module in closure(f"pipeline.{stage}.stage")}
    code = {file for file in needed if not file.endswith("__init__.py")}  # these hold no code
    covered = {file: [dep for dep in deps if file == dep or file.startswith(f"{dep}/")] for file in code}
    assert not [file for file, by in covered.items() if not by]
    used = {dep for by in covered.values() for dep in by}
    assert set(deps) - used == ({"pipeline/params"} if stage == "check" else set())  # what it checks


def test_a_stage_depends_on_its_own_folder_and_on_core() -> None:
    for stage, definition in DVC.items():
        assert {f"pipeline/{stage}", "pipeline/core"} <= set(definition["deps"])


@pytest.mark.parametrize("stage", sorted(DVC))
def test_stage_module_function_and_command_share_one_name(stage: str) -> None:
    assert DVC[stage]["cmd"].startswith(f"python -m pipeline {stage} ")
    tree = ast.parse((ROOT / f"pipeline/{stage}/stage.py").read_text(encoding="utf-8"))
    assert stage in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_rates_and_seeds_reach_training_through_the_matrix_alone() -> None:
    watched = set(DVC["train"]["params"])
    assert not watched & {"train", "train.learning_rates", "train.seeds"}
    others = set(params.load(ROOT / "params.yaml").train.model_dump()) - {"learning_rates", "seeds"}
    assert watched == {f"train.{name}" for name in others} | {"data.dataset"}


def test_params_yaml_is_what_its_models_expect_with_a_comment_on_every_key() -> None:
    params.load(ROOT / "params.yaml")
    lines = (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines()
    for before, line in pairwise(lines):
        if re.match(r"  \w+:", line):
            assert before.lstrip().startswith("#"), f"params.yaml: no comment above {line.strip()!r}"


@pytest.mark.parametrize("command", ["--help", "download --help", "report --help"])
def test_commands_answer_without_the_heavy_packages(command: str) -> None:
    program = (
        "import sys, runpy; sys.argv = ['pipeline', *sys.argv[1:]]\n"
        "try: runpy.run_module('pipeline', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'mlflow', 'ray', 'dvc', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_only_one_place_imports_each_heavy_package() -> None:
    owners = {
        "tensorflow": ("pipeline/train/backend.py",),
        "keras": ("pipeline/train/backend.py", "pipeline/networks/"),
        "mlflow": ("pipeline/tracking/",),
        "ray": ("pipeline/sweep/cluster.py",),
    }
    for path in sorted((ROOT / "pipeline").rglob("*.py")):
        if path.parent.name == "served":  # travels with the model, and runs where there is no pipeline
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in names:
                owner = owners.get(name.split(".")[0])
                place = path.relative_to(ROOT).as_posix()
                assert owner is None or place.startswith(owner), f"{place} imports {name}"
