"""The process beside a training: how runs end, and what it costs the training when MLflow is in trouble."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pipeline.tracking.live_run import LiveRun

from pipeline import params
from pipeline.tracking import data, follow, sync, watch
from pipeline.tracking.store import Store
from tests.tracking import studies

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

TRAINING = """
import os, signal, sys, time
from pathlib import Path
from pipeline.tracking import watch
from pipeline.core.errors import Interrupted
from pipeline.core import runs
from tests.tracking import studies

ending, seed, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
entered = time.monotonic()
with watch.watching(0.01, seed, studies.key(0.01, seed)) as watcher:
    started = time.monotonic() - entered
    began = time.monotonic()
    for epoch in range(1, epochs + 1):
        watcher.epoch(studies.measures(0.01, seed, epoch))
        time.sleep(float(os.environ.get("PAUSE", "0")))
    passed_on = time.monotonic() - began
    match ending:
        case "exception":
            raise ValueError("training broke")
        case "interrupted":
            raise Interrupted("stopped", signal.SIGTERM)
        case "SIGTERM" | "SIGKILL":
            os.kill(os.getpid(), getattr(signal, ending))
    began = time.monotonic()
    watcher.finish(runs.folder(Path("runs"), 0.01, seed))
    print(f"{started + passed_on + time.monotonic() - began:.3f}")
"""


def start(ending: str, seed: int, epochs: int = studies.EPOCHS, **variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", TRAINING, ending, str(seed), str(epochs)],
        env=os.environ | {"PYTHONPATH": str(studies.ROOT), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_status(store: Store, run_key: str, wanted: str, seconds: float = 90) -> str:
    """Wait for a run's status and return it; the process that sets it may outlive the training."""
    until = time.monotonic() + seconds
    status = "no run"
    while time.monotonic() < until and status != wanted:
        status = next((run.info.status for run in store.find(run_key)), "no run")
        time.sleep(0.2)
    return status


def test_a_run_ends_as_its_training_did(study: Path, store: Store) -> None:
    endings = {"finish": "FINISHED", "exception": "FAILED", "interrupted": "KILLED", "SIGKILL": "KILLED"}
    studies.write_run(study, 0.01, 0)
    processes = [start(ending, seed) for seed, ending in enumerate(endings)]
    printed = [process.communicate(timeout=180) for process in processes]
    assert "warning" not in printed[0][1], printed[0]
    for seed, wanted in enumerate(endings.values()):
        assert wait_for_status(store, studies.key(0.01, seed), wanted) == wanted
    shown = studies.snapshot(store)
    finished = shown[studies.key(0.01, 0)]
    assert [step for step, _ in finished["metrics"]["loss"]] == [1, 2, 3]
    assert finished["tags"]["machine.tensorflow"]
    (run,) = store.find(studies.key(0.01, 0))
    chart = Path(store.client.download_artifacts(run.info.run_id, "loss_and_accuracy.png")).read_bytes()
    assert chart.startswith(b"\x89PNG")
    assert len(chart) > 5000
    # What was sent before the end is not lost.
    assert [step for step, _ in shown[studies.key(0.01, 1)]["metrics"]["loss"]] == [1, 2, 3]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("http://127.0.0.1:9", "warning: MLflow"),  # nobody listens there
        ("sqlite:////proc/mlflow.db", "warning: MLflow"),  # nobody can write there
    ],
)
def test_a_store_in_trouble_costs_a_second_and_one_line(study: Path, uri: str, message: str) -> None:
    studies.write_run(study, 0.01, 0)
    process = start("finish", 0, MLFLOW_TRACKING_URI=uri)
    output, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    assert errors.count(message) == 1, errors
    assert len(errors.strip().splitlines()) == 1
    assert "`python -m pipeline publish` adds what is missing" in errors
    if uri.startswith("http"):
        # One second of patience, and what starting a process takes on a busy machine; nobody waits for
        # MLflow's own retries, which take minutes.
        assert float(output) < 5.0


@pytest.mark.parametrize("awaited", [True, False])
def test_the_last_sync_is_prepared_only_where_somebody_waits_for_it(
    study: Path,  # noqa: ARG001
    store: Store,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
    awaited: bool,
) -> None:
    attempts: list[bool] = []
    prepared: list[bool] = []

    def lines() -> Iterator[str]:
        while len(attempts) < 3:
            time.sleep(0.05)
        yield json.dumps({"ended": "FAILED"})

    monkeypatch.setattr(follow, "INTERVAL", 0.1)
    monkeypatch.setattr(LiveRun, "attempt", lambda *_: attempts.append(True) or True)
    monkeypatch.setattr(sync, "warm_up", lambda: prepared.append(True))
    run = LiveRun(params.load(), data.read(), 0.01, 0, studies.key(0.01, 0), pytest.fail)
    follow.follow(run, lines(), awaited=awaited)
    assert prepared == ([True] if awaited else [])


def test_one_failed_request_costs_neither_a_run_nor_a_warning(
    study: Path,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    studies.write_run(study, 0.01, 0)
    failures = [KeyError("SOME_VARIABLE"), None, None, KeyError("SOME_VARIABLE")]
    find = Store.find

    def failing(*arguments: Any) -> Any:
        if failures and (failure := failures.pop(0)):
            raise failure
        return find(*arguments)

    def lines() -> Iterator[str]:
        while len(failures) > 1:  # until the first has been got over
            time.sleep(0.05)
        yield json.dumps({"finished": str(study / "runs")})

    monkeypatch.setattr(follow, "INTERVAL", 0.1)
    monkeypatch.setattr(Store, "find", failing)
    run = LiveRun(params.load(), data.read(), 0.01, 0, studies.key(0.01, 0), pytest.fail)
    follow.follow(run, lines(), awaited=False)
    (run,) = find(store, studies.key(0.01, 0))
    assert run.info.status == "FINISHED"


def test_a_process_that_stands_still_does_not_hold_the_training(study: Path, store: Store) -> None:  # noqa: ARG001
    with watch.watching(0.01, 0, studies.key(0.01, 0)) as watcher:
        (process,) = psutil.Process().children()
        process.suspend()
        began = time.monotonic()
        for epoch in range(1, 2000):
            watcher.epoch(studies.measures(0.01, 0, epoch))
        assert time.monotonic() - began < 5.0
        assert not process.is_running()  # it was ended: its pipe was full
