"""A full disk, a file system that cannot be written, a permission that is missing: one clear line each.

Nothing half-written keeps its name, and the same command ends as ever once the disk is in order again.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hard.conftest import locked, md5, one_line, outputs, run_pipeline

pytestmark = pytest.mark.hard

needs_mount = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="only root can mount a small disk"
)
RUN = "runs/lr-0.01/seed-0"


@pytest.fixture
def disk() -> Iterator[Callable[..., Path]]:
    """A function that mounts a small disk on a folder, or changes one that it mounted."""
    mounted: list[Path] = []

    def mount(folder: Path, **options: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        chosen = ",".join(f"{key}={value}" if value else key for key, value in options.items())
        if folder in mounted:
            command = ["mount", "-o", f"remount,{chosen}", str(folder)]
        else:
            command = ["mount", "-t", "tmpfs", "-o", chosen, "none", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        if folder not in mounted:
            mounted.append(folder)
        return folder

    yield mount
    for folder in reversed(mounted):
        subprocess.run(["umount", "-l", str(folder)], check=True)


STAGES = [
    ("download", ("{disk}/raw",), {"raw": "data/raw"}, "64k"),
    ("scale", ("data/raw", "{disk}/scaled"), {"scaled": "data/scaled"}, "1m"),
    (
        "train",
        ("--learning_rate", "0.01", "--seed", "0", "data/scaled", "{disk}/runs"),
        {"runs/lr-0.01/seed-0": RUN},
        "32k",
    ),
    ("range_test", ("data/scaled", "{disk}/range_test"), {"range_test": "range_test"}, "4k"),
    (
        "report",
        ("data/scaled", "runs", "{disk}/report", "--range-test", "range_test"),
        {f"report/{name}": f"report/{name}" for name in ("index.html", "figures", "verdict.json")},
        "64k",
    ),
]


@needs_mount
@pytest.mark.parametrize(("stage", "arguments", "made", "size"), STAGES, ids=[stage[0] for stage in STAGES])
def test_a_full_disk_is_reported_and_room_helps(
    study: Path,
    tmp_path: Path,
    disk: Callable[..., Path],
    stage: str,
    arguments: tuple[str, ...],
    made: dict[str, str],
    size: str,
) -> None:
    folder = disk(tmp_path / "disk", size=size)
    command = [stage, *(word.format(disk=folder) for word in arguments)]

    full = run_pipeline(study, *command)

    assert full.returncode == 74, full.stderr
    assert "No space left on device. Make room, then run the same command again" in one_line(full.stderr)
    for name, path in made.items():  # what is there at all is whole
        for file in (folder / name).rglob("*") if (folder / name).is_dir() else [folder / name]:
            if file.is_file():
                assert file.read_bytes() == (study / path / file.relative_to(folder / name)).read_bytes()
    disk(folder, size="100m")
    again = run_pipeline(study, *command)
    assert again.returncode == 0, again.stderr
    assert {path: md5(folder / name) for name, path in made.items()} == {
        path: locked(study)[path] for path in made.values()
    }
    assert not [path for path in folder.rglob(".*") if path.name != ".gitignore"]  # no temporary files


@needs_mount
def test_a_full_disk_under_mlflow_costs_the_training_nothing(
    study: Path, tmp_path: Path, disk: Callable[..., Path]
) -> None:
    folder = disk(tmp_path / "disk", size="64k")
    uri = f"sqlite:///{folder}/mlflow.db"
    train = ("train", "--learning_rate", "0.01", "--seed", "0", "data/scaled", str(tmp_path / "runs"))

    said = ""
    while "warning: " not in said:  # a training of seconds may end before its follower finds out
        trained = run_pipeline(study, *train, MLFLOW_TRACKING_URI=uri)
        assert trained.returncode == 0, trained.stderr
        assert md5(tmp_path / RUN) == locked(study)[RUN]
        said += trained.stderr
    assert said.count("warning: ") == 1
    assert "Traceback" not in said

    published = run_pipeline(study, "publish", MLFLOW_TRACKING_URI=uri)
    assert published.returncode != 0
    one_line(published.stderr)
    disk(folder, size="100m")
    published = run_pipeline(study, "publish", MLFLOW_TRACKING_URI=uri)
    assert published.returncode == 0, published.stderr


@needs_mount
def test_a_disk_that_fills_up_under_dvc_needs_nothing_but_room(
    finished: Path,
    fresh: Path,
    tmp_path: Path,
    disk: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cache, dvc.lock and MLflow's store lie on the disk that is full.

    DVC's notes about files lie elsewhere: on a full disk, diskcache may try for ever to begin a transaction.
    """
    content = sum(path.stat().st_size for path in fresh.rglob("*") if path.is_file())
    folder = disk(tmp_path / "disk", size="500m") / "study"
    shutil.copytree(fresh, folder, symlinks=True)
    used = shutil.disk_usage(folder).used
    assert used >= content
    # Python 3.11 leaves half a .pyc on a full disk, without a word, and cannot import it afterwards.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    for room in (50_000, 400_000, 1_500_000, 3_000_000):
        disk(tmp_path / "disk", size=str(used + room))
        full = run_pipeline(folder, "repro", DVC_SITE_CACHE_DIR=str(tmp_path / "site"))
        assert full.returncode != 0
        assert "No space left on device" in full.stderr + full.stdout or "disk is full" in full.stderr

    disk(tmp_path / "disk", size="500m")
    done = run_pipeline(folder, "repro", DVC_SITE_CACHE_DIR=str(tmp_path / "site"))

    assert done.returncode == 0, done.stderr
    assert outputs(folder) == locked(folder) == locked(finished)
    for path in (folder / ".dvc/cache/files/md5").rglob("*"):
        if path.is_file():
            assert md5(path) == (path.parent.name + path.name).removesuffix(".dir")


@needs_mount
def test_a_disk_that_cannot_be_written_is_reported(
    study: Path, tmp_path: Path, disk: Callable[..., Path]
) -> None:
    folder = disk(tmp_path / "disk", size="10m")
    disk(folder, ro="")

    done = run_pipeline(study, "scale", "data/raw", str(folder / "scaled"))

    assert done.returncode == 74
    line = one_line(done.stderr)
    assert str(folder) in line
    assert "Read-only file system. Mount it so that it can be written, or work in a copy elsewhere." in line
    assert not list(folder.iterdir())


PERMISSIONS = [
    ("the folder for the outputs", ".", 0o555, ("scale", "data/raw", "scaled"), 74),
    ("a raw file", "data/raw/train-images-idx3-ubyte.gz", 0o000, ("scale", "data/raw", "data/again"), 1),
    (
        "an array",
        "data/scaled/train_inputs.npy",
        0o000,
        ("train", "--learning_rate", "0.01", "--seed", "0", "data/scaled", "again"),
        74,  # met while the inputs are hashed, which knows files and no arrays
    ),
    ("a run", f"{RUN}/metrics.json", 0o000, ("report", "data/scaled", "runs", "again"), 1),
    ("params.yaml", "params.yaml", 0o000, ("scale", "data/raw", "data/again"), 1),
]


@pytest.mark.parametrize(
    ("path", "mode", "command", "code"),
    [case[1:] for case in PERMISSIONS],
    ids=[case[0] for case in PERMISSIONS],
)
def test_a_missing_permission_is_reported(
    study: Path, path: str, mode: int, command: tuple[str, ...], code: int
) -> None:
    (study / path).chmod(mode)
    try:
        done = without_privileges(study, "-m", "pipeline", *command)
    finally:
        (study / path).chmod(0o755)

    assert done.returncode == code, done.stderr
    assert "Permission denied" in one_line(done.stderr)
    assert not (study / command[-1]).exists()


def test_a_read_only_output_is_replaced(study: Path) -> None:
    """DVC can link outputs to its cache read-only; writing beside and renaming copes with that."""
    files = sorted((study / "data/scaled").iterdir())
    for path in files:
        path.chmod(0o444)
    in_place = without_privileges(study, "-c", f"open({str(files[0])!r}, 'r+')")
    assert "PermissionError" in in_place.stderr  # or this test could not fail

    done = without_privileges(study, "-m", "pipeline", "scale", "data/raw", "data/scaled")

    assert done.returncode == 0, done.stderr
    assert md5(study / "data/scaled") == locked(study)["data/scaled"]
    assert all(path.stat().st_mode & 0o200 for path in files)


def without_privileges(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python there. Root reads and writes whatever the permissions say, unless it is denied to it."""
    command = [sys.executable, *arguments]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root without setpriv ignores permissions")
        dropped = ["--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all"]
        command = ["setpriv", *dropped, *command]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
