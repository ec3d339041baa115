"""What the files promise about each other: dvc.yaml and the imports, params.yaml and its models, the tree."""

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline import params
from pipeline.core import network_files, run_keys
from pipeline.core.task import GREY_LEVELS, Task
from tests.conftest import ROOT

DVC = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
NETWORKS = sorted(path for path in (ROOT / "pipeline/networks").glob("*.py") if path.stem != "__init__")

TRAINING = tuple(
    f"pipeline/train/{name}.py"
    for name in ("arithmetic", "backend", "loop", "networks", "optimizers", "portability", "unlit")
)
"""The modules that compute: they are loaded once `backend.configure` has set TensorFlow up."""

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
    assert ("${network.file}" in DVC[stage]["deps"]) is (stage in {"check", "train", "range_test"})
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
    others = set(params.load(ROOT / "params.yaml").train.model_dump()) - {
        "learning_rates",
        "seeds",
        "threads",
    }
    sections = {"data.dataset", "network", "optimizer", "schedule"}
    assert watched == {f"train.{name}" for name in others} | sections


def test_the_network_that_params_name_is_a_dep_by_its_path(tmp_path: Path) -> None:
    """As DVC puts it in, so the run key does: another network, or a change of it, is another run."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    for name in ("pipeline/core/x.py", "pipeline/train/x.py", "data/scaled/x.npy", "own/a.py", "own/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("same")
    keys = set()
    for file, text in (("own/a.py", "same"), ("own/b.py", "same"), ("own/b.py", "other")):
        (tmp_path / file).write_text(text)
        values = params.load(ROOT / "params.yaml").values()
        values["network"]["file"] = file
        inputs = run_keys.inputs(values, tmp_path)
        assert file in inputs["files"]
        keys.add(run_keys.key_of(inputs, 0.1, 0))
    assert len(keys) == 3


@pytest.mark.parametrize("path", NETWORKS, ids=[path.stem for path in NETWORKS])
def test_a_network_of_the_repository_is_a_screen_long_and_builds_for_mnist(path: Path) -> None:
    from tests.train import samples

    name = path.relative_to(ROOT).as_posix()
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 50
    task = Task("mnist", (28, 28, 1), tuple("0123456789"), GREY_LEVELS, {})
    file = network_files.read(name, ROOT)
    arguments = inspect.signature(file.build_function()).parameters.values()
    values = {a.name: 10 for a in arguments if a.kind is a.KEYWORD_ONLY and a.default is a.empty}
    first, again, other = (samples.Builder(file, task, values).build(seed) for seed in (1, 1, 2))
    weights = [[weight.tobytes() for weight in model.get_weights()] for model in (first, again, other)]
    assert weights[0] == weights[1] != weights[2]


def test_params_yaml_is_what_its_models_expect_with_a_comment_on_every_key() -> None:
    params.load(ROOT / "params.yaml")
    lines = (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines()
    for before, line in pairwise(lines):
        if re.match(r"  \w+:", line):
            assert before.lstrip().startswith("#"), f"params.yaml: no comment above {line.strip()!r}"


def test_what_images_and_notebooks_set_for_python_and_pip_does_not_reach_what_make_runs() -> None:
    hostile = {"PIP_USER": "1", "PIP_TARGET": "/nowhere", "PYTHONPATH": "/nowhere", "PYTHONSAFEPATH": "1"}
    kept = {"PIP_INDEX_URL": "https://mirror.example/simple"}
    done = subprocess.run(
        ["make", "--no-print-directory", "--eval", "show: ; @env", "show"],
        cwd=ROOT,
        env=os.environ | hostile | kept,
        capture_output=True,
        text=True,
        check=True,
    )
    shown = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert not hostile.keys() & shown.keys()
    assert kept.items() <= shown.items()


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
        "tensorflow": TRAINING,
        "keras": (*TRAINING, "pipeline/train/networks.py", "pipeline/networks/"),
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
