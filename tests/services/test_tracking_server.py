"""A team's tracking server: PostgreSQL, logins, artifacts through the server, and trouble."""

import base64
import os
import random
import re
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.params import reading
from pipeline.tracking.publish import publish, publish_outputs
from pipeline.tracking.store import Store, open_store
from tests.conftest import wait_until_delivered
from tests.services import stack
from tests.tracking import studies
from tests.tracking.test_follow import (
    expected,
    followers,
    start,
    steps,
    wait_for_status,
)

pytestmark = [
    pytest.mark.services,
    pytest.mark.filterwarnings("ignore"),  # of MLflow's own imports and of its connection pools
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stack.Server]:
    place = tmp_path_factory.mktemp("stack")
    with (
        stack.postgres() as database,
        stack.mlflow_server(place / "mlflow", database) as running,
    ):
        yield running


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: stack.Server) -> Path:
    """A study of its own on the server: another file of code, so other run keys."""
    studies.make_study(tmp_path)
    (tmp_path / "loop.py").write_text(f"code of {tmp_path}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name, value in server.client_settings().items():
        monkeypatch.setenv(name, value)
    return tmp_path


def keys() -> set[str]:
    return {studies.key(rate, seed) for rate in studies.RATES for seed in studies.SEEDS}


def shown(store: Store) -> dict[str, dict[str, object]]:
    """What the server shows of this study's runs alone."""
    return {key: run for key, run in studies.snapshot(store).items() if key in keys()}


def check_complete(store: Store) -> None:
    """Every run once, finished, every epoch's metric once."""
    runs = shown(store)
    assert set(runs) == keys()
    for rate in studies.RATES:
        for seed in studies.SEEDS:
            run = runs[studies.key(rate, seed)]
            assert run["status"] == "FINISHED"
            for column in studies.COLUMNS:
                epochs = range(1, studies.EPOCHS + 1)
                wanted = [(epoch, studies.measures(rate, seed, epoch)[column]) for epoch in epochs]
                assert run["metrics"][column] == wanted


def test_two_processes_train_at_once(project: Path, server: stack.Server) -> None:  # noqa: ARG001
    for seed in studies.SEEDS:
        studies.write_run(project, 0.01, seed)
    processes = [start("finish", seed) for seed in studies.SEEDS]
    for process in processes:
        _, errors = process.communicate(timeout=180)
        assert process.returncode == 0, errors
    wait_until_delivered(project)
    studies.write_study(project)
    assert publish() == 0
    check_complete(open_store("digits"))


def test_a_training_does_not_wait_for_the_server_and_its_run_is_complete_all_the_same(project: Path) -> None:
    studies.write_run(project, 0.01, 0)
    output, errors = start("finish", 0, PAUSE="1").communicate(timeout=180)
    assert float(output) < 1.0  # what starting a process takes on a busy machine
    assert "warning" not in errors
    store = open_store("digits")
    assert wait_for_status(store, studies.key(0.01, 0), "FINISHED") == "FINISHED"
    run = shown(store)[studies.key(0.01, 0)]
    assert [step for step, _ in run["metrics"]["loss"]] == [1, 2, 3]
    assert run["models"]


def test_eight_processes_start_at_once_on_an_experiment_that_does_not_exist(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.tracking.address.NAME", "another-study")
    script = (
        "import sys; from pipeline.tracking import address; address.NAME = 'another-study';"
        "from pipeline.tracking import sync; from pipeline.tracking.store import open_store;"
        "store = open_store('digits'); sync.create(store, 'key-' + sys.argv[1], 'run', {})"
    )
    environment = os.environ | {"PYTHONPATH": str(studies.ROOT)}
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(number)], env=environment, cwd=project)
        for number in range(8)
    ]
    assert [process.wait(180) for process in processes] == [0] * 8
    assert len(open_store("digits").index()) == 8


def test_a_server_killed_again_and_again_loses_and_doubles_nothing(
    project: Path, server: stack.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies, "RATES", (0.01,))
    monkeypatch.setattr(studies, "SEEDS", tuple(range(10)))
    reading.override(
        project / "params.yaml", {"train.learning_rates": [0.01], "train.seeds": list(range(10))}
    )
    studies.write_study(project)
    generator = random.Random(0)
    for seed in studies.SEEDS:
        process = start("finish", seed, PAUSE="2")
        time.sleep(generator.uniform(1, 8))
        server.kill()
        time.sleep(generator.uniform(0, 2))
        server.start()
        _, errors = process.communicate(timeout=180)
        assert process.returncode == 0, errors
    assert publish() == 0
    check_complete(open_store("digits"))
    assert publish() == 0


def test_a_server_that_stands_still_costs_no_time_and_nothing_is_lost(
    project: Path, server: stack.Server
) -> None:
    studies.write_run(project, 0.01, 0)
    server.suspend()
    try:
        output, errors = start("finish", 0, PAUSE="1").communicate(timeout=180)
    finally:
        server.resume()
    assert float(output) < 1.0
    assert "Traceback" not in errors
    wait_until_delivered(project)
    store = open_store("digits")
    assert wait_for_status(store, studies.key(0.01, 0), "FINISHED") == "FINISHED"
    assert steps(store) == expected()
    assert len(followers(project)) <= 1


def test_a_training_that_is_killed_is_killed_on_the_server(project: Path) -> None:  # noqa: ARG001
    process = start("SIGKILL", 0)
    process.communicate(timeout=120)
    assert wait_for_status(open_store("digits"), studies.key(0.01, 0), "KILLED") == "KILLED"


@pytest.mark.parametrize("path", ["/", "/api/2.0/mlflow/experiments/get-by-name?experiment_name=x"])
def test_nobody_gets_in_without_a_login(server: stack.Server, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.ask(path)
    refused.value.close()
    assert refused.value.code == 401


def test_other_host_names_are_refused(server: stack.Server) -> None:
    login = base64.b64encode(f"{stack.ADMIN}:{server.password}".encode()).decode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.ask(
            "/api/2.0/mlflow/experiments/get?experiment_id=0",
            Host="evil.example",
            Authorization=f"Basic {login}",
        )
    refused.value.close()
    assert refused.value.code == 403


def test_a_browser_shows_the_comparison(project: Path, server: stack.Server, tmp_path: Path) -> None:
    chromium = stack.need_chromium()
    studies.write_study(project)
    publisher = publish_outputs()
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += ["--no-proxy-server", f"--user-data-dir={tmp_path / 'browser'}", "--window-size=1800,1000"]
    command += ["--virtual-time-budget=60000", "--dump-dom"]
    with stack.logged_in(server) as door:
        words, of_studies = (
            " ".join(re.sub(r"<[^>]*>", " ", subprocess.check_output([*command, page], text=True)).split())
            for page in publisher.pages(door)
        )
    assert "Which study? (1)" in of_studies
    for rate in studies.RATES:
        for seed in studies.SEEDS:
            assert f"lr-{rate} seed-{seed}" in words
    assert "Which rate? (4)" in words
    assert "log10_learning_rate" in words
    for measure in ("val_loss", "val_accuracy", "loss"):
        assert f"lr-0.01 seed-0 ({measure})" in words  # a line of the measure's chart
