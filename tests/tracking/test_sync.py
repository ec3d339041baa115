"""Syncing a record: once, whole, and whatever MLflow holds already."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline import params
from pipeline.core.errors import RunError
from pipeline.params import reading
from pipeline.tracking import address, record, sync
from pipeline.tracking.provenance import Provenance
from pipeline.tracking.record import Record, Row
from pipeline.tracking.store import Store
from pipeline.tracking.sync import SyncResult
from tests.tracking import studies

# SQLAlchemy leaves its pool of connections to the garbage collector, which MLflow relies on.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

UNKNOWN = Provenance(None, None, {})


@pytest.fixture
def whole(study: Path) -> Record:
    studies.write_run(study, 0.01, 0)
    return studies.record_of(0.01, 0)


def sync_alone(store: Store, run: Record) -> SyncResult:
    return sync.sync(store, run, store.find(run.key), UNKNOWN)


def begin(store: Store, whole: Record, rows: int) -> Any:
    """A run whose process sent some rows and then vanished."""
    run = sync.create(store, whole.key, whole.name, whole.tags)
    sync.send(store, run, whole.rows[:rows], whole.params)
    return run


def test_a_run_shows_all_that_its_outputs_hold(store: Store, whole: Record) -> None:
    assert sync_alone(store, whole) is SyncResult.CREATED
    (shown,) = studies.snapshot(store).values()
    assert shown["status"] == "FINISHED"
    assert shown["params"] == {
        "learning_rate": "0.01",
        "seed": "0",
        "dataset": "digits",
        "validation_size": "100",
        "standardise": "false",
        "network": "pipeline/networks/mlp.py",
        "network_hidden_units": "16",
        "optimizer": "adam",
        "optimizer_beta_1": "0.9",
        "optimizer_beta_2": "0.999",
        "optimizer_epsilon": "1e-07",
        "schedule": "constant",
        "schedule_warmup": "0.0",
    } | {name: str(value) for name, value in params.load().train if name not in ("learning_rates", "seeds")}
    for column in studies.COLUMNS:
        wanted = [(epoch, studies.measures(0.01, 0, epoch)[column]) for epoch in (1, 2, 3)]
        assert shown["metrics"][column] == wanted
    assert shown["metrics"]["learning_rate"] == [(0, 0.01)]
    assert shown["metrics"]["best_val_accuracy"] == [(0, 0.5)]
    assert shown["metrics"]["kept_epoch"] == [(0, 1)]
    assert shown["metrics"]["kept_val_loss"] == [(0, studies.measures(0.01, 0, 1)["val_loss"])]
    assert shown["metrics"]["test_accuracy"] == [(0, 0.75)]
    assert set(shown["artifacts"]) == {
        "history.csv",
        "metrics.json",
        "predictions.npy",
        "loss_and_accuracy.png",
    }
    assert shown["models"] == [("digits-classifier", "READY", whole.digest)]
    assert len(shown["datasets"]) == 1
    assert "follower" not in store.find(whole.key)[0].data.tags


def test_the_model_has_signature_example_and_pinned_requirements(store: Store, whole: Record) -> None:
    import mlflow

    sync_alone(store, whole)
    (run,) = store.find(whole.key)
    (output,) = run.outputs.model_outputs
    mlflow.set_tracking_uri(store.client.tracking_uri)
    info = mlflow.models.get_model_info(f"models:/{output.model_id}")
    assert str(info.signature.inputs) == "[Tensor('uint8', (-1, 28, 28))]"
    assert str(info.signature.outputs) == "[Tensor('float32', (-1, 10))]"
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{output.model_id}"))
    wanted = (folder / "requirements.txt").read_text(encoding="utf-8").split()
    assert all("==" in line for line in wanted)
    assert {line.split("==")[0] for line in wanted} == {"mlflow", "tensorflow", "keras", "numpy", "h5py"}
    assert (folder / "data" / "model.keras").read_bytes() == b"network of 0.01 and 0"
    assert (folder / "input_example.json").exists()


def test_syncing_twice_changes_nothing(store: Store, whole: Record) -> None:
    sync_alone(store, whole)
    before = studies.snapshot(store)
    assert sync_alone(store, whole) is SyncResult.UNCHANGED
    assert studies.snapshot(store) == before


@pytest.mark.parametrize("rows", [0, 1, 5, 27])
def test_what_a_dead_process_left_is_completed_in_place(store: Store, whole: Record, rows: int) -> None:
    begun = begin(store, whole, rows)
    assert sync_alone(store, whole) is SyncResult.COMPLETED
    (run,) = store.find(whole.key)
    assert run.info.run_id == begun.info.run_id
    assert sorted(sync.known_rows(store, run)) == sorted(whole.rows)


def test_rows_sent_again_after_a_lost_answer_are_there_once(store: Store, whole: Record) -> None:
    begun = begin(store, whole, 20)
    sync.send(store, begun, whole.rows[10:25])
    sync.send(store, begun, whole.rows)
    assert sorted(sync.known_rows(store, begun)) == []  # the run as it was when it was created
    (run,) = store.find(whole.key)
    assert sorted(sync.known_rows(store, run)) == sorted(whole.rows)


@pytest.mark.parametrize("wrong", [Row("loss", 0.123, 1), Row("loss", 0.5, 99), Row("other", 1.0, 0)])
def test_a_run_that_holds_something_else_is_replaced(store: Store, whole: Record, wrong: Row) -> None:
    begun = begin(store, whole, 5)
    sync.send(store, begun, [wrong])
    assert sync_alone(store, whole) is SyncResult.REPLACED
    (run,) = store.find(whole.key)
    assert run.info.run_id != begun.info.run_id
    assert sorted(sync.known_rows(store, run)) == sorted(whole.rows)
    assert store.client.get_run(begun.info.run_id).info.lifecycle_stage == "deleted"


def test_other_outputs_replace_the_finished_run(store: Store, whole: Record, study: Path) -> None:
    sync_alone(store, whole)
    (study / "runs/lr-0.01/seed-0/model.keras").write_bytes(b"another network")
    assert sync_alone(store, studies.record_of(0.01, 0)) is SyncResult.REPLACED
    (shown,) = studies.snapshot(store).values()
    assert shown["status"] == "FINISHED"
    models = store.client.search_logged_models([store.experiment_id])
    assert len(models) == 1


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("history.csv", 0),
        ("loss_and_accuracy.png", 0),
        ("MLmodel", 0),
        ("model.keras", 0),
        ("model.keras", 1),
        ("learning_rate_study_model.py", 0),
    ],
)
def test_a_run_that_lost_a_file_is_replaced(
    store: Store, whole: Record, study: Path, name: str, rest: int
) -> None:
    sync_alone(store, whole)
    (path,) = (study / "mlartifacts").rglob(name)
    os.truncate(path, rest) if rest else path.unlink()
    assert sync_alone(store, whole) is SyncResult.REPLACED
    assert sync_alone(store, whole) is SyncResult.UNCHANGED


def test_a_run_whose_model_was_deleted_is_replaced(store: Store, whole: Record) -> None:
    sync_alone(store, whole)
    (logged,) = store.client.search_logged_models([store.experiment_id])
    store.client.delete_logged_model(logged.model_id)
    assert sync_alone(store, whole) is SyncResult.REPLACED
    assert sync_alone(store, whole) is SyncResult.UNCHANGED


@pytest.mark.parametrize(("silence", "busy"), [(5, True), (1000, False)])
def test_a_run_that_another_machine_looks_after_is_left_to_it_until_it_is_silent(
    store: Store, whole: Record, silence: float, busy: bool
) -> None:
    begun = begin(store, whole, 5)
    sign = json.dumps(["elsewhere:/home/ada/study", time.time() - silence])
    sync.send(store, begun, tags={"follower": sign})
    assert sync_alone(store, whole) is (SyncResult.BUSY if busy else SyncResult.COMPLETED)
    (run,) = store.find(whole.key)
    assert run.info.status == ("RUNNING" if busy else "FINISHED")


def test_of_two_runs_made_at_the_same_moment_all_choose_the_same(store: Store, whole: Record) -> None:
    first, second = begin(store, whole, 3), begin(store, whole, 4)
    kept = sync.elect(store, store.find(whole.key))
    assert kept.info.run_id in {first.info.run_id, second.info.run_id}
    assert sync_alone(store, whole) is SyncResult.COMPLETED
    (run,) = store.find(whole.key)
    assert run.info.run_id == kept.info.run_id


def test_times_and_tags_of_the_training_are_the_run_s(store: Store, whole: Record) -> None:
    times = {1: 1_001_000, 2: 1_002_000}
    origin = Provenance(1_000_000, 1_005_000, {"dvc.experiment": "wide-rates"}, times)
    sync.sync(store, whole, [], origin)
    (run,) = store.find(whole.key)
    assert (run.info.start_time, run.info.end_time) == (1_000_000, 1_005_000)
    assert run.data.tags["dvc.experiment"] == "wide-rates"
    rows = store.client.get_metric_history(run.info.run_id, "loss")
    assert {row.step: row.timestamp for row in rows} == times | {3: 1_005_000}  # of the third, it knows that


def test_a_diverged_run_has_no_metric_that_is_no_number(store: Store, study: Path) -> None:
    studies.write_run(study, 0.01, 0, diverged=True)
    sync_alone(store, studies.record_of(0.01, 0))
    (shown,) = studies.snapshot(store).values()
    assert [step for step, _ in shown["metrics"]["loss"]] == [1, 2]
    assert not {"final_loss", "kept_epoch", "kept_val_accuracy"} & shown["metrics"].keys()
    assert shown["tags"]["diverged_epoch"] == "3"


def test_rows_are_finite() -> None:
    measures = {"epoch": 7, "loss": math.nan, "accuracy": math.inf, "val_loss": 0.5}
    assert record.finite_rows(measures) == [Row("val_loss", 0.5, 7)]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("train.keep", "last_epoch", "expected a run with keep last_epoch as in params.yaml, got best_epoch"),
        ("train.epochs", 9, "expected a run with epochs 9 as in params.yaml, got 3. Run `dvc repro`"),
        ("data.dataset", "mnist", "expected a run with dataset mnist as in params.yaml, got digits. Run"),
    ],
)
def test_a_folder_from_before_params_changed_is_refused(
    whole: Record,
    study: Path,
    name: str,
    value: object,
    message: str,
) -> None:
    assert whole.tags["kind"] == "run"
    reading.override(study / "params.yaml", {name: value})
    with pytest.raises(RunError, match=message):
        studies.record_of(0.01, 0)


def test_the_store_is_the_repositorys_inside_dvcs_copies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert address.tracking_uri() == f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert address.tracking_uri() == "http://server:5000"
