"""Sweeps on a cluster whose nodes come and go, and with MLflow servers."""

import contextlib
import os
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
from tests.conftest import wait_until_delivered
from tests.hard.conftest import (
    EPOCHS,
    PATIENCE,
    RUNS,
    assert_same,
    run_pipeline,
    start,
    training_workers,
    wait_for,
)

pytestmark = pytest.mark.hard

# ---- a cluster of several nodes, each with its own Ray processes

CLUSTER = """
import os, sys
from ray.cluster_utils import Cluster
head = {"num_cpus": 0, "include_dashboard": False, "ray_client_server_port": int(sys.argv[1])}
cluster = Cluster(initialize_head=True, head_node_args=head)
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
def client_port() -> int:
    """Where the cluster takes drivers that are no part of it."""
    return free_port()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def cluster(tmp_path: Path, client_port: int) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER, str(client_port)],
        cwd=tmp_path,
        env=os.environ | RAY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield process
    process.communicate(timeout=PATIENCE)


RAY = {
    "RAY_AUTH_MODE": "token",
    "RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": "300",  # a busy machine; Ray would wait 30 s
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
    held: dict[int, psutil.Process] = {}  # each node's run, which must not end before a node does

    def hold() -> bool:
        for worker in training_workers(cluster):
            if worker.pid not in held:
                worker.suspend()
                held[worker.pid] = worker
        return len(held) == 3

    wait_for(hold, process)
    cluster.stdin.write("replace\n")
    cluster.stdin.flush()
    assert cluster.stdout.readline() == "replaced\n"
    for worker in held.values():
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.resume()
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert f"{RUNS}/{RUNS} runs done, 0 running, 0 failed" in said
    assert_same(untrained, trained)
    wait_until_delivered(untrained)
    with sqlite3.connect(untrained / "mlflow.db") as store:
        finished = store.execute("SELECT name FROM runs WHERE status = 'FINISHED'").fetchall()
    assert len(finished) == len(set(finished)) == RUNS


def test_a_driver_outside_of_the_cluster_reaches_it_through_rays_client(
    fresh: Path, finished: Path, cluster: "subprocess.Popen[str]", client_port: int
) -> None:
    assert cluster.stdout is not None
    cluster.stdout.readline()
    address = f"ray://127.0.0.1:{client_port}"
    done = run_pipeline(fresh, "sweep", "--address", address, "--cpus-per-run", "1", **RAY)
    assert done.returncode == 0, done.stderr
    assert "2/2 runs done, 0 running, 0 failed" in done.stderr
    assert_same(fresh, finished)


# ---- MLflow servers


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An MLflow server's address and its database."""
    port = free_port()
    folder = tmp_path / "server"
    folder.mkdir()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'store.db'}", "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "DO_NOT_TRACK": "true"}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: answers(port), process)
    yield f"http://127.0.0.1:{port}", folder / "store.db"
    process.terminate()
    process.wait(60)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def test_each_node_delivers_to_a_server_itself(
    untrained: Path, trained: Path, server: tuple[str, Path]
) -> None:
    address, database = server
    done = run_pipeline(untrained, "sweep", MLFLOW_TRACKING_URI=address)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert_same(untrained, trained)
    wait_until_delivered(untrained)
    with sqlite3.connect(database) as store:
        runs = store.execute("SELECT status FROM runs").fetchall()
        steps = store.execute("SELECT COUNT(*) FROM metrics WHERE key = 'val_loss'").fetchone()
    assert runs == [("FINISHED",)] * RUNS
    assert steps == (RUNS * EPOCHS,)
    assert not (untrained / "mlflow.db").exists()


def test_a_server_that_is_down_costs_a_warning(untrained: Path, trained: Path) -> None:
    variables = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    said = run_pipeline(untrained, "sweep", **variables).stderr
    assert_same(untrained, trained)
    if "warning" not in said:  # a sweep of seconds may be over before its follower finds out
        deadline = time.monotonic() + PATIENCE
        while not list((untrained / ".scratch/live").glob("*/trouble")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        reading.override(untrained / "params.yaml", {"train.learning_rates": [0.01, 0.001, 0.003]})
        said = run_pipeline(untrained, "sweep", **variables).stderr
    assert said.count("warning: MLflow is not receiving the runs for now") == 1
    assert "`python -m pipeline publish` adds what is missing" in said
