"""A study in miniature for the tests of `verify`: real DVC, real git, stages that take no time."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import AUTHOR, ROOT, SMALL, run_dvc

DVC = """
stages:
  download:
    cmd: python stage.py download
    outs: [data/raw]
  scale:
    cmd: python stage.py scale
    deps: [data/raw]
    params: [data.validation_size]
    outs: [data/scaled]
  train:
    matrix:
      learning_rate: ${train.learning_rates}
      seed: ${train.seeds}
    cmd: python stage.py train ${item.learning_rate} ${item.seed}
    params: [train.epochs]
    deps: [data/scaled, train.py]
    outs: ["runs/lr-${item.learning_rate}/seed-${item.seed}"]
  report:
    cmd: python stage.py report
    params: [train]
    deps: [runs]
    outs:
      - report/comparison.csv: {cache: false}
      - report/index.html
      - report/verdict.json: {cache: false}
"""

STAGE = """
import itertools, json, sys
from pathlib import Path
import train

def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)

stage, *arguments = sys.argv[1:]
if stage == "download":
    write("data/raw/one", "1")
    write("data/raw/two", "2")
elif stage == "scale":
    write("data/scaled/all", Path("data/raw/one").read_text() + Path("data/raw/two").read_text())
elif stage == "train":
    rate, seed = float(arguments[0]), int(arguments[1])
    accuracy = train.train(rate, seed)
    folder = f"runs/lr-{rate}/seed-{seed}"
    rows = [f"{epoch},{accuracy * epoch / 3!r}" for epoch in (1, 2, 3)]
    write(f"{folder}/history.csv", "\\n".join(["epoch,val_accuracy", *rows, ""]))
    write(f"{folder}/metrics.json", json.dumps({
        "learning_rate": rate, "seed": seed, "diverged_epoch": None,
        "best": {"val_accuracy": accuracy}, "final": {"val_accuracy": accuracy},
        "test": {"accuracy": accuracy},
    }))
else:
    table = ["learning_rate,seed,diverged_epoch,best_val_accuracy,final_val_accuracy,test_accuracy"]
    best = (0, None)
    from ruamel.yaml import YAML
    asked = YAML(typ="safe").load(Path("params.yaml"))["train"]
    for rate, seed in itertools.product(asked["learning_rates"], asked["seeds"]):
        m = json.loads(Path(f"runs/lr-{rate}/seed-{seed}/metrics.json").read_text())
        a = m["best"]["val_accuracy"]
        table.append(f"{m['learning_rate']},{m['seed']},,{a},{a},{a}")
        best = max(best, (a, m["learning_rate"]))
    write("report/comparison.csv", "\\n".join([*table, ""]))
    write("report/index.html", "\\n".join(table))
    write("report/verdict.json", json.dumps({"learning_rate": best[1], "indistinguishable": []}))
"""

TRAIN = """
def train(rate, seed):
    return 0.9 + rate + seed / 1000
"""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("verify") / "made")


@pytest.fixture
def study(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the miniature study, which is the current folder; temporary files go beside it."""
    folder = tmp_path / "study"
    shutil.copytree(made, folder, symlinks=True)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(folder)
    return folder


def make(repository: Path, within: str = "") -> Path:
    """Run the miniature study and commit it, in a repository of its own, or as a folder of another one."""
    from pipeline.params import reading

    folder = repository / within
    folder.mkdir(parents=True)
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    reading.override(folder / "params.yaml", SMALL | {"train.seeds": [0, 1]})
    for name, text in (("dvc.yaml", DVC), ("stage.py", STAGE), ("train.py", TRAIN)):
        (folder / name).write_text(text)
    (folder / ".gitignore").write_text("__pycache__/\n")
    subprocess.run(["git", "init", "-q"], cwd=repository, check=True)
    for arguments in (
        ("init", "-q", *(["--subdir"] if within else [])),
        ("config", "core.analytics", "false"),
        ("config", "core.check_update", "false"),
    ):
        assert run_dvc(folder, *arguments).returncode == 0
    done = run_dvc(folder, "repro")
    assert done.returncode == 0, done.stderr
    commit(folder, "study")
    return folder


def commit(folder: Path, message: str) -> None:
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True, capture_output=True)
    subprocess.run(
        ["git", *AUTHOR, "commit", "-qm", message, "--allow-empty"],
        cwd=folder,
        check=True,
        capture_output=True,
    )


def replace(path: Path, old: str, new: str) -> None:
    """Edit a file as a person would; the text must be there exactly once."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, (old, text)
    path.write_text(text.replace(old, new), encoding="utf-8")


def recorded(path: str) -> str:
    """The MD5 that dvc.lock has for an output, or for what a stage used."""
    from pipeline.verify import lockfile

    lock = lockfile.read(Path("dvc.lock"))
    return next(both[path] for entry in lock.values() if path in (both := {**entry.deps, **entry.outs}))


def forget(*, folder: bool = True, cache: bool = True) -> None:
    """Remove runs and data here, or DVC's cache, as a colleague's clone lacks them."""
    if folder:
        for output in (*Path("runs").glob("lr-*/seed-*"), Path("data/scaled")):
            shutil.rmtree(output)
    if cache:
        shutil.rmtree(Path(".dvc") / "cache")
