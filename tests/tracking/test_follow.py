"""Live logs and the process that follows them: how runs end, and what MLflow's trouble costs a training."""

import errno
import functools
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
import timeit
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline import params
from pipeline.core import runs
from pipeline.params import reading
from pipeline.tracking import data, follow, live_log
from pipeline.tracking.follow import Follower
from pipeline.tracking.live_log import LiveLog
from pipeline.tracking.publish import publish
from pipeline.tracking.store import Store, open_store
from tests.conftest import wait_until_delivered
from tests.tracking import studies

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

TRAINING = """
import os, signal, sys, time
from pathlib import Path
from pipeline import params
from pipeline.core import runs
from pipeline.params import reading
from pipeline.core.errors import Interrupted
from pipeline.tracking import data, live_log
from pipeline.tracking.live_log import LiveLog
from tests.tracking import studies

said = []

def say(text):
    said.append(text)
    live_log.say(text)

ending, seed, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
waited, pause = 0.0, float(os.environ.get("PAUSE", "0"))
study, facts, key = params.load(), data.read(), studies.key(0.01, seed)
began = time.monotonic()
with LiveLog(study, facts, 0.01, seed, key, say) as log:
    waited += time.monotonic() - began
    for epoch in range(1, epochs + 1):
        time.sleep(pause)
        began = time.monotonic()
        log.epoch(epoch, studies.measures(0.01, seed, epoch))
        waited += time.monotonic() - began
        if ending == "warned" and said:
            break
    match ending:
        case "exception":
            raise ValueError("training broke")
        case "interrupted":
            raise Interrupted("stopped", signal.SIGTERM)
        case "SIGTERM" | "SIGKILL":
            os.kill(os.getpid(), getattr(signal, ending))
    began = time.monotonic()
    log.finish(runs.folder(Path("runs"), 0.01, seed))
    print(f"{waited + time.monotonic() - began:.3f}")
"""
WAIT = 120.0  # seconds; the machine may be busy


@pytest.fixture(autouse=True)
def _ended_followers(tmp_path: Path) -> Iterator[None]:
    """End the processes that a test's trainings left at work, before its folder goes."""
    yield
    for process in followers(tmp_path / "study") + followers(tmp_path):
        process.kill()


def followers(folder: Path) -> list[psutil.Process]:
    """List the processes that follow a repository's logs."""
    listed = []
    for process in psutil.process_iter():
        try:
            if process.cmdline()[-2:] == ["pipeline", "follow"] and process.cwd() == str(folder.resolve()):
                listed.append(process)
        except psutil.Error:
            continue
    return listed


def start(ending: str, seed: int, epochs: int = studies.EPOCHS, **variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", TRAINING, ending, str(seed), str(epochs)],
        env=os.environ | {"PYTHONPATH": str(studies.ROOT), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_status(store: Store, run_key: str, wanted: str, seconds: float = WAIT) -> str:
    """Wait for a run's status and return it; the process that sets it may outlive the training."""
    until = time.monotonic() + seconds
    status = "no run"
    while time.monotonic() < until and status != wanted:
        status = next((run.info.status for run in store.find(run_key)), "no run")
        time.sleep(0.2)
    return status


@pytest.fixture
def begin(study: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that begins a live log here, without a process that follows it."""
    monkeypatch.setattr(live_log, "start_follower", lambda: None)

    def begun(seed: int = 0, epochs: int = 0) -> LiveLog:
        log = LiveLog(params.load(), data.read(), 0.01, seed, studies.key(0.01, seed, study))
        for epoch in range(1, epochs + 1):
            log.epoch(epoch, studies.measures(0.01, seed, epoch))
        return log

    return begun


def steps(store: Store, seed: int = 0) -> list[tuple[int, float]]:
    (run,) = store.find(studies.key(0.01, seed))
    return studies.history(store, run, "loss")


def expected(seed: int = 0, epochs: int = studies.EPOCHS) -> list[tuple[int, float]]:
    return [(epoch, studies.measures(0.01, seed, epoch)["loss"]) for epoch in range(1, epochs + 1)]


def test_a_run_ends_as_its_training_did_and_one_process_sends_all(study: Path, store: Store) -> None:
    endings = {"finish": "FINISHED", "exception": "FAILED", "interrupted": "KILLED", "SIGKILL": "KILLED"}
    studies.write_run(study, 0.01, 0)
    processes = [start(ending, seed, PAUSE="0.5") for seed, ending in enumerate(endings)]
    printed = [process.communicate(timeout=180) for process in processes]
    until = time.monotonic() + WAIT
    while len(followers(study)) > 1:  # each may start one; those that find another at work leave
        assert time.monotonic() < until
        time.sleep(0.1)
    assert followers(study)
    assert "warning" not in printed[0][1], printed[0]
    wait_until_delivered(study)
    for seed, wanted in enumerate(endings.values()):
        assert wait_for_status(store, studies.key(0.01, seed), wanted) == wanted
        assert steps(store, seed) == expected(seed)  # what was sent before the end is not lost
    (run,) = store.find(studies.key(0.01, 0))
    assert run.data.tags["machine.tensorflow"]
    chart = Path(store.client.download_artifacts(run.info.run_id, "loss_and_accuracy.png")).read_bytes()
    assert chart.startswith(b"\x89PNG")
    assert len(chart) > 5000
    until = time.monotonic() + WAIT
    while followers(study):
        assert time.monotonic() < until, "it stays when all is delivered"
        time.sleep(0.5)


@pytest.mark.parametrize("count", [3, pytest.param(8, marks=pytest.mark.hard)])
def test_many_trainings_at_once_on_a_store_that_does_not_exist(
    study: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    uri = f"sqlite:///{study / 'new.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for seed in range(count):
        studies.write_run(study, 0.01, seed)
    processes = [start("finish", seed) for seed in range(count)]
    for process in processes:
        _, errors = process.communicate(timeout=180)
        assert process.returncode == 0, errors
        assert errors == ""
    wait_until_delivered(study)
    store = open_store("digits")
    shown = studies.snapshot(store)
    assert {run["status"] for run in shown.values()} == {"FINISHED"}
    assert [steps(store, seed) for seed in range(count)] == [expected(seed) for seed in range(count)]


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:9",  # nobody listens there
        "sqlite:////proc/mlflow.db",  # nobody can write there
    ],
)
def test_a_store_in_trouble_costs_no_time_and_one_line(
    study: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    studies.write_run(study, 0.01, 0)
    process = start("warned", 0, epochs=1000, PAUSE="0.2")  # until its follower has been in trouble twice
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert len(errors.strip().splitlines()) == 1
    assert errors.strip().startswith("warning: MLflow is not receiving the runs for now (")
    assert "`python -m pipeline publish` adds what is missing" in errors
    assert float(output) < 1.0  # what starting a process takes on a busy machine
    _, errors = start("finish", 0).communicate(timeout=180)
    assert errors == ""  # the same process is at work, and has said it


def test_one_failed_request_costs_neither_a_run_nor_a_warning(
    study: Path, store: Store, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [KeyError("SOME_VARIABLE")]
    find = Store.find

    def failing(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return find(*arguments)

    monkeypatch.setattr(follow, "INTERVAL", 0.01)
    monkeypatch.setattr(Store, "find", failing)
    log = begin(epochs=3)
    log.finish(studies.write_run(study, 0.01, 0))
    follow.follow()
    assert not failures
    (run,) = store.find(studies.key(0.01, 0))
    assert run.info.status == "FINISHED"
    assert not live_log.trouble().exists()


def test_a_follower_that_stands_still_does_not_hold_the_training_and_nothing_is_lost(
    study: Path, store: Store
) -> None:
    reading.override(study / "params.yaml", {"train.epochs": 500})
    studies.write_run(study, 0.01, 0, epochs=500)
    process = start("finish", 0, epochs=500, PAUSE="0.001")
    while not (following := followers(study)):
        assert process.poll() is None
        time.sleep(0.01)
    following[0].suspend()
    output, errors = process.communicate(timeout=180)
    assert (process.returncode, errors) == (0, "")
    assert float(output) < 5.0  # a busy machine
    following[0].resume()
    wait_until_delivered(study)
    assert steps(store) == expected(epochs=500)


@pytest.mark.hard
def test_a_follower_killed_twenty_times_during_a_study_is_replaced_and_nothing_shows_twice(
    study: Path, store: Store
) -> None:
    reading.override(study / "params.yaml", {"train.epochs": 20})
    kills, seed = 0, 0
    while kills < 20:
        studies.write_run(study, 0.01, seed, epochs=20)
        ending = ("finish", "exception", "finish", "SIGKILL")[seed % 4]
        process = start(ending, seed, epochs=20, PAUSE="0.3")
        until = time.monotonic() + 0.5 + 0.6 * (seed % 13)  # while it imports, claims, sends, attaches
        while time.monotonic() < until or not (following := followers(study)):
            assert time.monotonic() < until + WAIT
            time.sleep(0.05)
        following[0].kill()
        following[0].wait(WAIT)  # its lock goes with it; the next training would find it held
        kills += 1
        process.communicate(timeout=180)
        seed += 1
    last = start("finish", 0, epochs=20)
    last.communicate(timeout=180)
    wait_until_delivered(study)
    endings = {0: "FINISHED", 1: "FAILED", 2: "FINISHED", 3: "KILLED"}
    for number in range(seed):
        (run,) = store.find(studies.key(0.01, number))
        assert run.info.status == endings[number % 4]
        assert steps(store, number) == expected(number, 20)
        assert len(run.outputs.model_outputs) == (run.info.status == "FINISHED")


@pytest.mark.parametrize("ending", ["FAILED", "KILLED"])
def test_what_a_follower_left_in_the_middle_the_next_one_completes(
    store: Store, begin: Any, ending: str
) -> None:
    log = begin(epochs=2)
    assert Follower().deliver() == ""
    log.epoch(3, studies.measures(0.01, 0, 3))
    assert Follower().deliver() == ""
    (run,) = store.find(studies.key(0.01, 0))
    assert run.info.status == "RUNNING"
    log.end(ending)
    assert Follower().deliver() == ""
    (run,) = store.find(studies.key(0.01, 0))
    assert run.info.status == ending
    assert steps(store) == expected()
    assert "follower" not in run.data.tags


def test_outputs_that_go_with_their_folder_are_delivered_all_the_same(
    study: Path, store: Store, begin: Any
) -> None:
    folder = studies.write_run(study, 0.01, 0)
    log = begin(epochs=3)
    log.finish(folder)
    shutil.rmtree(study / "runs")  # as DVC removes the copy in which it tried an experiment
    assert Follower().deliver() == ""
    (shown,) = studies.snapshot(store).values()
    assert shown["status"] == "FINISHED"
    assert "history.csv" in shown["artifacts"]
    assert not list(live_log.folder().glob("*/"))


def test_outputs_that_cannot_be_linked_are_left_to_publish(
    study: Path, store: Store, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)
    studies.write_study(study)
    begin(epochs=3).finish(runs.folder(study / "runs", 0.01, 0))
    assert Follower().deliver() == ""
    assert publish() == 0
    (run,) = store.find(studies.key(0.01, 0))
    assert run.info.status == "FINISHED"
    assert "history.csv" in studies.artifacts(store, run)


def test_a_run_that_somebody_took_for_dead_is_running_again(
    store: Store, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_RENEWAL", 0.0)
    log, follower = begin(epochs=2), Follower()
    assert follower.deliver() == ""
    (run,) = store.find(studies.key(0.01, 0))
    store.client.set_terminated(run.info.run_id, "KILLED")
    assert follower.deliver() == ""
    (run,) = store.find(studies.key(0.01, 0))
    assert run.info.status == "RUNNING"
    log.end("KILLED")


def test_what_a_training_here_did_not_finish_says_nothing_about_outputs_from_elsewhere(
    study: Path, store: Store, begin: Any
) -> None:
    begin(epochs=2).end("FAILED")
    assert Follower().deliver() == ""
    studies.write_study(study)  # as `dvc pull` brings it
    assert publish() == 0
    (run,) = store.find(studies.key(0.01, 0))
    assert run.info.status == "FINISHED"
    assert "made up" in run.data.tags["rebuilt"]


def test_a_training_that_begins_while_the_follower_leaves_is_followed(
    store: Store, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It found the follower's lock held, and started none."""
    begin().end("FAILED")  # makes the folder
    assert Follower().deliver() == ""
    (live_log.folder() / f"{'0' * 64}.jsonl").write_text("{}\n")  # for ever undeliverable
    logs, looks = list[LiveLog](), itertools.count(1)

    def sleep(_: float) -> None:
        look = next(looks)
        if look == follow._PATIENCE:
            logs.append(begin(seed=1, epochs=3))
        elif look == follow._PATIENCE + 2:
            logs[0].end("KILLED")

    monkeypatch.setattr(time, "sleep", sleep)
    follow.follow()
    (run,) = store.find(studies.key(0.01, 1))
    assert run.info.status == "KILLED"
    assert steps(store, 1) == expected(1)


def test_a_training_that_goes_on_goes_on_in_the_same_run(study: Path, store: Store, begin: Any) -> None:
    begin(epochs=2).end("KILLED")
    assert Follower().deliver() == ""
    (before,) = store.find(studies.key(0.01, 0))
    assert before.info.status == "KILLED"
    log = begin(epochs=3)  # the first two from a checkpoint
    follower = Follower()
    assert follower.deliver() == ""
    (run,) = store.find(studies.key(0.01, 0))
    assert (run.info.run_id, run.info.status) == (before.info.run_id, "RUNNING")
    log.finish(studies.write_run(study, 0.01, 0))
    assert follower.deliver() == ""
    (run,) = store.find(studies.key(0.01, 0))
    assert (run.info.run_id, run.info.status) == (before.info.run_id, "FINISHED")
    assert steps(store) == expected()


def test_a_training_of_the_same_run_that_rounds_differently_replaces_what_was_begun(
    store: Store, begin: Any
) -> None:
    begin(epochs=2).end("KILLED")
    assert Follower().deliver() == ""
    log = begin()
    log.epoch(1, studies.measures(0.01, 0, 1) | {"loss": 0.123})
    assert Follower().deliver() == ""
    assert steps(store) == [(1, 0.123)]


def test_a_second_training_of_a_run_at_the_same_time_is_not_shown(store: Store, begin: Any) -> None:
    first = begin(epochs=1)
    second = begin(epochs=3)
    second.end("FAILED")
    first.epoch(2, studies.measures(0.01, 0, 2))
    assert Follower().deliver() == ""
    (run,) = store.find(studies.key(0.01, 0))
    assert run.info.status == "RUNNING"
    assert steps(store) == expected(epochs=2)


def test_reading_a_log_takes_a_time_that_grows_with_its_epochs(tmp_path: Path, begin: Any) -> None:
    begin().end("FAILED")
    (path,) = live_log.paths()
    header = path.read_bytes().partition(b"\n")[0]
    seconds = []
    for epochs in (5_000, 20_000):
        lines = (json.dumps({"time": 1, "epoch": epoch, "loss": 0.5}) for epoch in range(1, epochs + 1))
        (tmp_path / "long.jsonl").write_bytes(b"\n".join([header, *map(str.encode, lines), b""]))
        read = functools.partial(_epochs_in, tmp_path / "long.jsonl")
        assert read() == epochs
        seconds.append(min(timeit.repeat(read, timer=time.process_time, number=1, repeat=3)))
    assert seconds[1] < 9 * seconds[0]


def _epochs_in(path: Path) -> int:
    log = live_log.Log(path).read()
    log.close()
    return len(log.times)


def test_a_log_s_line_that_is_not_whole_yet_waits(store: Store, begin: Any) -> None:
    log = begin(epochs=1)
    (path,) = live_log.paths()
    with path.open("ab") as stream:
        stream.write(b'{"epoch": 2, "lo')
        stream.flush()
        follower = Follower()
        assert follower.deliver() == ""
        assert steps(store) == expected(epochs=1)
        loss = studies.measures(0.01, 0, 2)["loss"]
        stream.write(f'ss": {loss}, "time": 1}}\n'.encode())
    assert follower.deliver() == ""
    assert steps(store) == expected(epochs=2)
    log.end("FAILED")


def test_where_nobody_will_look_there_is_no_log(
    study: Path, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(live_log.SWITCH, "off")
    begin(epochs=3).finish(studies.write_run(study, 0.01, 0))
    assert not (study / ".scratch").exists()


def test_a_log_that_publish_delivers_meanwhile_is_no_trouble(
    study: Path, store: Store, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower, log = Follower(), begin(epochs=3)
    assert follower.deliver() == ""
    log.finish(studies.write_run(study, 0.01, 0))
    both = live_log.paths()
    assert Follower().deliver() == ""
    monkeypatch.setattr(live_log, "paths", lambda: both)  # listed just before
    assert (follower.deliver(), Follower().deliver()) == ("", "")
    assert steps(store) == expected()


def test_a_log_that_cannot_be_read_is_said_and_stops_no_other(study: Path, store: Store, begin: Any) -> None:
    log = begin(epochs=3)
    (live_log.folder() / f"{'0' * 64}.jsonl").write_text("{}\n")
    log.finish(studies.write_run(study, 0.01, 0))
    assert re.fullmatch("0{64}.jsonl: .*learning_rate.*", Follower().deliver())
    (run,) = store.find(studies.key(0.01, 0))
    assert run.info.status == "FINISHED"


def test_a_log_that_cannot_be_read_holds_back_neither_report_nor_champion(
    study: Path, store: Store, begin: Any
) -> None:
    begin().end("FAILED")
    (live_log.folder() / f"{'0' * 64}.jsonl").write_text("{}\n")
    studies.write_study(study)
    assert publish() == 1
    assert studies.champion(store)


def test_logs_for_another_store_are_left_to_its_follower(
    store: Store, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    begin(epochs=3).end("FAILED")
    (waiting,) = live_log.paths()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert live_log.paths() == []
    assert Follower().deliver() == ""
    assert store.find(studies.key(0.01, 0)) == []
    assert waiting.exists()


def test_a_disk_that_takes_no_log_costs_the_training_nothing(study: Path, begin: Any) -> None:
    (study / ".scratch").write_text("in the way")
    log = begin(epochs=3)
    log.finish(studies.write_run(study, 0.01, 0))
    assert (study / ".scratch").read_text() == "in the way"


def test_the_time_axis_is_the_training_s_also_where_the_store_is_lost(
    study: Path, store: Store, begin: Any, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = begin()
    for epoch in (1, 2, 3):
        log.epoch(epoch, studies.measures(0.01, 0, epoch) | {"time": 1_000_000 * epoch})
    studies.write_study(study)
    log.finish(runs.folder(study / "runs", 0.01, 0))
    publish()

    def times(opened: Store) -> tuple[object, ...]:
        (run,) = opened.find(studies.key(0.01, 0))
        rows = opened.client.get_metric_history(run.info.run_id, "loss")
        by_step = sorted((row.step, row.timestamp) for row in rows)
        assert "rebuilt" not in run.data.tags
        (other,) = opened.find(studies.key(0.001, 0))
        assert "made up" in other.data.tags["rebuilt"]  # nobody followed it
        return run.info.start_time, run.info.end_time, by_step

    before = times(store)
    assert before[2] == [(1, 1_000_000), (2, 2_000_000), (3, 3_000_000)]
    studies.make_database(empty_database, study, "second.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{study / 'second.db'}")
    publish()
    assert times(open_store("digits")) == before
