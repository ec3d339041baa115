"""What several test modules share: a scratch project made of this checkout, and how it is run."""

import contextlib
import fnmatch
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]

pytest_plugins = ("tests.tracking.fixtures",)

_CONTEXT = ("MLFLOW_TRACKING_URI", "MNIST_MIRROR", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME")

_LONGEST = {
    "test_pipeline", "test_follow", "test_train_stage", "test_verify",
    "test_kills", "test_sweep_elsewhere", "test_sweep_faults", "test_sweep_kills",
}  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """No test sees the caller's MLflow server, nor a DVC stage that the tests might run in.

    What DVC notes about hundreds of scratch projects goes when they go.
    """
    for name in _CONTEXT:
        os.environ.pop(name, None)
    notes = tempfile.TemporaryDirectory(prefix="dvc-", ignore_cleanup_errors=True)
    os.environ["DVC_SITE_CACHE_DIR"] = notes.name
    config.add_cleanup(notes.cleanup)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """More workers than cores: a test often waits for a process that fills none, a hard one for several."""
    cores = os.cpu_count() or 1
    return 2 * cores if config.option.markexpr == "hard" else cores + 1


_BEGAN = time.monotonic()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is hard and would begin more than `HARD_SECONDS` after the start: CI has a limit of time."""
    seconds = float(os.environ.get("HARD_SECONDS", "inf"))
    if item.get_closest_marker("hard") and time.monotonic() - _BEGAN > seconds:
        pytest.skip(f"not begun within {seconds:.0f} s of HARD_SECONDS; `make test-hard` runs all")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that none is left alone at the end."""
    items.sort(key=lambda item: item.path.stem not in _LONGEST)


@pytest.fixture(autouse=True)
def _environment_of_its_own() -> Iterator[None]:
    """What a test or a library sets (MLflow keeps its store's address there) ends with the test.

    Otherwise the processes that a later test starts would work on that store.
    """
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A scratch project of its own; see `make_project`."""
    return make_project(tmp_path / "project")


def make_project(folder: Path) -> Path:
    """Copy the checkout's tracked and new files, with params for seconds: digits, 2 rates, 1 seed."""
    from pipeline.params import reading
    from pipeline.tools import programs

    folder.mkdir()
    names = programs.git("ls-files", "--cached", "--others", "--exclude-standard", "-z", folder=ROOT)
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("report/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    (folder / "dvc.lock").unlink(missing_ok=True)
    reading.override(folder / "params.yaml", SMALL)
    for command in (["init", "-q"], ["add", "-A"], [*AUTHOR, "commit", "-qm", "scratch"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    return folder


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Let `make` fill a folder once for all xdist workers; the others wait for the first.

    Nobody may change anything in it: a test that has to works in a copy.
    """
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, complete = root / name, root / f"{name}.complete"
    with FileLock(root / f"{name}.lock"):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            complete.touch()
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scratch project after `dvc repro`, all of it committed; see `made_once`."""

    def make(folder: Path) -> None:
        done = run_dvc(make_project(folder), "repro", timeout=1800)  # beside a study, perhaps
        assert done.returncode == 0, done.stdout + done.stderr
        wait_until_delivered(folder)
        done = _run(folder, ["docs.render"], 60, {})
        assert done.returncode == 0, done.stdout + done.stderr
        for command in (["add", "-A"], [*AUTHOR, "commit", "-qm", "study"]):
            subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)

    return made_once(tmp_path_factory, "finished", make)


def wait_until_delivered(folder: Path, seconds: float = 600) -> None:
    """Wait until MLflow has all that a repository's live logs hold, for whatever store."""
    until = time.monotonic() + seconds
    # `rglob` would stumble over folders that go meanwhile.
    while waiting := [
        name
        for _, _, names in os.walk(folder / ".scratch/live")
        for name in fnmatch.filter(names, "[!.]*.jsonl")
    ]:
        assert time.monotonic() < until, waiting
        time.sleep(0.1)


AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@localhost")
SMALL = {
    "data.dataset": "digits",
    "data.validation_size": 100,
    "train.learning_rates": [0.01, 0.001],
    "train.seeds": [0],
    "train.epochs": 3,
    "train.batch_size": 128,
    "network.values.hidden_units": 16,
}


def run_pipeline(
    folder: Path, *arguments: str, timeout: float = 120, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m pipeline` in a scratch project, as a person would."""
    return _run(folder, ["pipeline", *arguments], timeout, variables)


def run_dvc(
    folder: Path, *arguments: str, timeout: float = 240, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run DVC in a scratch project."""
    return _run(folder, ["dvc", *arguments], timeout, variables)


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Give the environment of a process that finds `dvc` and `python` where these tests do."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return os.environ | {"PATH": path, **variables}


def _run(
    folder: Path, module: list[str], timeout: float, variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *module],
        cwd=folder,
        env=environment(variables),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def listening(process: int) -> set[str]:
    """List the addresses at which a process, or one that it started, takes connections."""
    addresses = set()
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process)
        for member in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                addresses |= {
                    connection.laddr.ip.removeprefix("::ffff:")  # an IPv4 address as IPv6 writes it
                    for connection in member.net_connections()
                    if connection.status == psutil.CONN_LISTEN
                }
    return addresses
