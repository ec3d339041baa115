"""Sweeps in bad circumstances: killed drivers, workers and nodes, Ctrl-C, failing runs, MLflow servers."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.params import reading
from pipeline.verification import hashes
from tests.conftest import run_dvc, run_pipeline
from tests.hard.conftest import forget, outputs, says, start

pytestmark = pytest.mark.hard

LONG = 1800  # seconds: two cores may be shared with all kinds of things
RUNS = 4
STUDY = {"train.learning_rates": [0.01, 0.001], "train.seeds": [0, 1], "train.epochs": 60}


@pytest.fixture(scope="module")
def trained(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs as `dvc repro` trains them."""
    place = tmp_path_factory.mktemp("trained") / "study"
    shutil.copytree(finished, place, symlinks=True)
    forget(place)
    reading.override(place / "params.yaml", STUDY)
    done = run_dvc(place, "repro", timeout=LONG)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def untrained(trained: Path, tmp_path: Path) -> Path:
    """The same study before anything was done."""
    place = tmp_path / "untrained"
    shutil.copytree(trained, place, symlinks=True)
    return forget(place)


def assert_same(place: Path, reference: Path) -> None:
    """Everything is as `dvc repro` left it in `reference`, on the disk and in DVC's books."""
    assert (place / "dvc.lock").read_text() == (reference / "dvc.lock").read_text()
    assert outputs(place) == says(reference)
    folders = {path for path in (place / "runs").glob("*/*") if path.is_dir()}
    assert {path.relative_to(place) for path in folders} == {
        path.relative_to(reference) for path in (reference / "runs").glob("*/*") if path.is_dir()
    }
    assert "up to date" in run_dvc(place, "status", timeout=LONG).stdout


def test_a_sweep_from_nothing_leaves_what_dvc_repro_leaves(untrained: Path, trained: Path) -> None:
    done = run_pipeline(untrained, "sweep", timeout=LONG)
    assert done.returncode == 0, done.stderr
    assert_same(untrained, trained)
    ours, theirs = (sorted(entries(place)) for place in (untrained, trained))
    assert ours == theirs  # the run cache too


def entries(place: Path) -> Iterator[str]:
    """The names in DVC's cache: hashes of contents, and of what the run cache says."""
    for path in (place / ".dvc/cache").rglob("*"):
        if path.is_file():
            yield str(path.relative_to(place / ".dvc/cache"))


def test_ctrl_c_keeps_what_is_done_and_the_next_sweep_does_the_rest(untrained: Path) -> None:
    reading.override(untrained / "params.yaml", {"train.epochs": 300})
    process = start(untrained, "pipeline", "sweep", "--max-concurrent", "1")
    wait_for(lambda: list(untrained.glob("runs/*/*/metrics.json")), process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers see it too
    said, _ = process.communicate(timeout=LONG)
    assert process.returncode == 130, said
    assert "Finished runs are recorded, the others keep their checkpoints" in said
    assert "Traceback" not in said
    done = len(list(untrained.glob("runs/*/*/metrics.json")))
    assert 0 < done < RUNS
    assert (untrained / "dvc.lock").read_text().count("train@") == done
    again = run_pipeline(untrained, "sweep", timeout=LONG)
    assert again.returncode == 0, again.stderr
    assert f"sweep: {done} runs up to date, 0 in DVC's run cache, {RUNS - done} to train" in again.stderr
    before = (untrained / "dvc.lock").read_text()
    interrupted = ("train@0.01-0", "train@0.01-1", "train@0.001-0", "train@0.001-1")[done]
    assert run_dvc(untrained, "repro", "-f", "-s", interrupted, timeout=LONG).returncode == 0
    assert (untrained / "dvc.lock").read_text() == before


def test_a_run_that_fails_does_not_stop_the_others(untrained: Path) -> None:
    code = untrained / "pipeline/running.py"
    code.write_text(
        code.read_text().replace(
            "    saved = checkpoint.load()\n",
            "    import os\n"
            "    if os.environ.get('FAIL') == f'{task.learning_rate} {task.seed}':\n"
            "        raise ValueError('no more memory on this planet')\n"
            "    saved = checkpoint.load()\n",
        )
    )
    done = run_pipeline(untrained, "sweep", timeout=LONG, FAIL="0.001 1")
    assert done.returncode == 1
    assert "sweep: 1 runs failed; the others are done and recorded." in done.stderr
    assert "learning rate 0.001, seed 1: ValueError: no more memory on this planet" in done.stderr
    assert len(list(untrained.glob("runs/*/*/metrics.json"))) == RUNS - 1
    assert not (untrained / "report/verdict.json").exists()
    again = run_pipeline(untrained, "sweep", timeout=LONG)
    assert again.returncode == 0, again.stderr
    assert f"{RUNS - 1} runs up to date, 0 in DVC's run cache, 1 to train" in again.stderr
    assert "up to date" in run_dvc(untrained, "status", timeout=LONG).stdout


def test_outputs_that_cannot_be_written_fail_their_run_alone(untrained: Path) -> None:
    (untrained / "runs").mkdir()
    (untrained / "runs/lr-0.01").write_text("in the way")
    done = run_pipeline(untrained, "sweep", timeout=LONG)
    assert done.returncode == 1
    assert done.stderr.count("it could not be written") == 2
    assert len(list(untrained.glob("runs/*/*/metrics.json"))) == RUNS - 2


def test_a_killed_worker_s_run_is_trained_again(untrained: Path, trained: Path) -> None:
    process = start(untrained, "pipeline", "sweep")
    wait_for(lambda: training_workers(process), process)
    training_workers(process)[0].kill()
    said, _ = process.communicate(timeout=LONG)
    assert process.returncode == 0, said
    assert_same(untrained, trained)


def training_workers(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Ray names a worker after its task."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        return [one for one in family if "ray::learning rate" in " ".join(one.cmdline())]
    return []


def test_ten_killed_drivers_leave_nothing_wrong(untrained: Path, trained: Path) -> None:
    longest, dice = 0.0, random.Random(6)
    whole = time.monotonic()
    shutil.copytree(untrained, untrained.with_name("timed"), symlinks=True)
    assert run_pipeline(untrained.with_name("timed"), "sweep", timeout=LONG).returncode == 0
    longest = time.monotonic() - whole
    for _ in range(10):
        process = start(untrained, "pipeline", "sweep")
        time.sleep(dice.uniform(0, longest))
        process.kill()  # the driver alone: what it started has to notice
        process.communicate(timeout=LONG)
        assert not half_written(untrained)
    done = run_pipeline(untrained, "sweep", timeout=LONG)
    assert done.returncode == 0, done.stderr
    assert_same(untrained, trained)
    deadline = time.monotonic() + 60
    while (left := [one for one in psutil.process_iter() if belongs(one, untrained)]) and (
        time.monotonic() < deadline
    ):
        time.sleep(1)
    assert not left


def half_written(place: Path) -> list[Path]:
    """Folders of runs without all of their files, and files that are in nobody's plan."""
    found = [path for path in place.glob("runs/*/*") if path.is_dir() and len(list(path.iterdir())) != 4]
    return found + [path for path in place.glob("runs/*/.*") if path.name != ".gitignore"]


def belongs(process: psutil.Process, place: Path) -> bool:
    try:
        return process.cwd() == str(place)
    except psutil.Error:
        return False


def test_a_sweep_beside_dvc_repro_says_so_and_breaks_nothing(untrained: Path) -> None:
    reading.override(untrained / "params.yaml", {"train.epochs": 2000, "train.learning_rates": [0.01]})
    assert run_dvc(untrained, "repro", "scale", timeout=LONG).returncode == 0
    repro = start(untrained, "dvc", "repro", "train@0.01-0")
    wait_for(lambda: busy(untrained), repro)
    done = run_pipeline(untrained, "sweep", timeout=LONG)
    assert done.returncode == 1
    assert "expected nobody else at work on these runs" in done.stderr
    assert "Wait for that process, or end it" in done.stderr
    repro.terminate()
    repro.communicate(timeout=LONG)


def busy(place: Path) -> bool:
    """Whether DVC notes that somebody writes a run."""
    with contextlib.suppress(FileNotFoundError, ValueError):  # DVC may be writing it just now
        writers = json.loads((place / ".dvc/tmp/rwlock").read_text()).get("write", {})
        return any("seed-0" in path for path in writers)
    return False


# ---- a cluster of several nodes, each with its own Ray processes

CLUSTER = """
import os, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1) for _ in range(3)]
print(cluster.address, flush=True)
for line in sys.stdin:
    if line == "replace\\n":
        cluster.remove_node(nodes.pop(0), allow_graceful=False)
        nodes.append(cluster.add_node(num_cpus=1))
        print("replaced", flush=True)
cluster.shutdown()
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        cwd=tmp_path,
        env=os.environ | RAY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield process
    process.communicate(timeout=LONG)


RAY = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def test_a_node_removed_and_one_added_and_every_run_once_with_the_right_bytes(
    untrained: Path, trained: Path, cluster: "subprocess.Popen[str]"
) -> None:
    assert cluster.stdin is not None
    assert cluster.stdout is not None
    address = cluster.stdout.readline().strip()
    process = start(untrained, "pipeline", "sweep", "--address", address, "--cpus-per-run", "1", **RAY)
    wait_for(lambda: list(untrained.glob("runs/*/*/metrics.json")), process)
    cluster.stdin.write("replace\n")
    cluster.stdin.flush()
    said, _ = process.communicate(timeout=LONG)
    assert process.returncode == 0, said
    assert f"{RUNS}/{RUNS} runs done, 0 running, 0 failed" in said
    assert cluster.stdout.readline() == "replaced\n"
    assert_same(untrained, trained)
    with sqlite3.connect(untrained / "mlflow.db") as store:
        finished = store.execute("SELECT name FROM runs WHERE status = 'FINISHED'").fetchall()
    assert len(finished) == len(set(finished)) == RUNS


# ---- MLflow servers


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An MLflow server's address and its database."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = tmp_path / "server"
    place.mkdir()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{place / 'store.db'}", "--workers", "1"]
    command += ["--artifacts-destination", str(place / "artifacts")]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "DO_NOT_TRACK": "true"}
    process = subprocess.Popen(
        command, cwd=place, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: answers(port), process)
    yield f"http://127.0.0.1:{port}", place / "store.db"
    process.terminate()
    process.wait(60)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def test_workers_tell_a_server_themselves(untrained: Path, trained: Path, server: tuple[str, Path]) -> None:
    address, database = server
    done = run_pipeline(untrained, "sweep", timeout=LONG, MLFLOW_TRACKING_URI=address)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert_same(untrained, trained)
    with sqlite3.connect(database) as store:
        runs = store.execute("SELECT status FROM runs").fetchall()
        steps = store.execute("SELECT COUNT(*) FROM metrics WHERE key = 'val_loss'").fetchone()
    assert runs == [("FINISHED",)] * RUNS
    assert steps == (RUNS * 60,)
    assert not (untrained / "mlflow.db").exists()


def test_a_server_that_is_down_costs_a_warning(untrained: Path, trained: Path) -> None:
    done = run_pipeline(untrained, "sweep", timeout=LONG, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert "warning: MLflow did not get everything" in done.stderr
    assert "`python -m pipeline publish` delivers what is missing" in done.stderr
    assert_same(untrained, trained)


def wait_for(condition: object, process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + LONG
    while not condition():  # type: ignore[operator]
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_hashes_are_of_what_lies_there(trained: Path) -> None:
    """`assert_same` would see a changed byte."""
    one = next(iter((trained / "runs").glob("*/*")))
    before = hashes.md5(one)
    (one / "history.csv").write_bytes((one / "history.csv").read_bytes() + b"\n")
    assert hashes.md5(one) != before
    (one / "history.csv").write_bytes((one / "history.csv").read_bytes()[:-1])
