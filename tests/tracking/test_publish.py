"""`publish`: MLflow as the outputs have it, whatever happened to it before."""

import base64
import itertools
import json
import os
import shutil
import time
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from pipeline import params
from pipeline.core import files, runs, task
from pipeline.core.errors import DataError, ToolError
from pipeline.core.task import Scaling, Task
from pipeline.params import reading
from pipeline.report.charts import style
from pipeline.tracking import address, data, live_log, sync
from pipeline.tracking.live_log import LiveLog
from pipeline.tracking.publish import publish, publish_outputs
from pipeline.tracking.store import Store, explained, open_store
from tests.tracking import studies

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

COUNT = len(studies.RATES) * len(studies.SEEDS)


def test_a_deleted_store_comes_back_as_it_was(
    study: Path,
    store: Store,
    empty_database: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    studies.write_study(study)
    assert publish() == 0
    assert "lr-0.01 seed-0: created" in capsys.readouterr().out
    before, champion = studies.snapshot(store), studies.champion(store)
    assert len(before) == COUNT + 1
    assert {shown["status"] for shown in before.values()} == {"FINISHED"}

    assert publish() == 0
    assert f"publish: 0 changed, {COUNT + 3} up to date, 0 not published" in capsys.readouterr().out
    assert studies.snapshot(store) == before

    # Under another name, since MLflow keeps the connections of this process to the first one.
    (study / "mlflow.db").unlink()
    shutil.rmtree(study / "mlartifacts")
    studies.make_database(empty_database, study, "second.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{study / 'second.db'}")
    assert publish() == 0
    again = open_store("digits")
    assert studies.snapshot(again) == before
    assert studies.champion(again) == champion


def test_a_run_elsewhere_is_not_taken_for_dead_since_publishing_took_long(
    study: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies.write_study(study)
    tags = {"run_key": "0" * 64, sync.FOLLOWER: json.dumps(["elsewhere", time.time()])}
    run = store.client.create_run(store.experiment_id, tags=tags)
    real = sync.sync

    def long(*arguments: Any, **more: Any) -> sync.SyncResult:
        monkeypatch.setattr(sync, "_SILENCE", 0.0)  # as if minutes had gone by
        return real(*arguments, **more)

    monkeypatch.setattr(sync, "sync", long)
    assert publish() == 0
    assert store.client.get_run(run.info.run_id).info.status == "RUNNING"


@pytest.mark.usefixtures("store")
def test_the_user_s_patience_with_a_server_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "300")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    open_store("digits")
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "300"
    assert int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) > 0


def test_a_dry_run_says_what_it_would_do_and_does_nothing(
    study: Path,
    store: Store,
    capsys: pytest.CaptureFixture[str],
) -> None:
    studies.write_study(study)
    assert publish(dry_run=True) == 0
    assert "lr-0.01 seed-0: would be created" in capsys.readouterr().out
    assert studies.snapshot(store) == {}
    (study / "mlflow.db").unlink()
    assert publish(dry_run=True) == 0
    assert not (study / "mlflow.db").exists()


def test_incomplete_outputs_are_named_and_the_rest_is_published(
    study: Path,
    store: Store,
    capsys: pytest.CaptureFixture[str],
) -> None:
    studies.write_study(study)
    shutil.rmtree(runs.folder(study / "runs", 0.01, 1))
    (runs.folder(study / "runs", 0.001, 1) / runs.METRICS).write_text("{", encoding="utf-8")
    assert publish() == 1
    printed = capsys.readouterr().err
    assert (
        "lr-0.01 seed-1: not published. runs/lr-0.01/seed-1: expected the run with learning rate" in printed
    )
    assert "lr-0.001 seed-1: not published. runs/lr-0.001/seed-1: expected the run" in printed
    names = {shown["name"] for shown in studies.snapshot(store).values()}
    assert names == {"lr-0.01 seed-0", "lr-0.001 seed-0"}


def test_runs_from_before_the_code_changed_are_left_as_they_are(
    study: Path,
    store: Store,
    capsys: pytest.CaptureFixture[str],
) -> None:
    studies.write_study(study)
    (study / "loop.py").write_text("code that has changed\n", encoding="utf-8")
    assert publish() == 1
    said = capsys.readouterr().err
    assert "was trained from other parameters, data or code than there are now" in said
    assert (
        "if DVC takes it for up to date, as after `dvc commit`, `dvc repro -f -s train@0.01-1` does." in said
    )
    assert studies.snapshot(store) == {}


ELSEWHERE = {"follower": json.dumps(["elsewhere:/home/ada/study", time.time() + 600])}


def test_what_claims_to_be_running_and_is_dead_is_killed(
    study: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_log, "start_follower", lambda: None)
    studies.write_study(study)
    sync.create(store, "0" * 64, "of another study", {})
    afar = sync.create(store, "1" * 64, "being trained elsewhere", {})
    sync.send(store, afar, tags=ELSEWHERE)
    store.client.create_run(store.experiment_id, run_name="somebody else's")
    training = LiveLog(params.load(), data.read(), 0.5, 0, "2" * 64)
    publish()
    states = {run.info.run_name: run.info.status for run in store.client.search_runs([store.experiment_id])}
    assert states["of another study"] == "KILLED"
    assert states["being trained elsewhere"] == "RUNNING"
    assert states["somebody else's"] == "RUNNING"
    assert states["lr-0.5 seed-0"] == "RUNNING"
    training.end("FAILED")
    publish()  # does what the process that follows the logs would have done
    assert [run.info.status for run in store.find("2" * 64)] == ["FAILED"]


def test_what_another_process_is_syncing_is_left_to_it(
    study: Path,
    store: Store,
    capsys: pytest.CaptureFixture[str],
) -> None:
    studies.write_study(study)
    for rate, seed in itertools.product(studies.RATES, studies.SEEDS):
        run = sync.create(store, studies.key(rate, seed), "being trained", {})
        sync.send(store, run, tags=ELSEWHERE)

    assert publish() == 0
    printed = capsys.readouterr().out
    # The report and the comparison page are new; the champion waits for its run.
    assert (
        f"publish: 2 changed, 0 up to date, {COUNT + 1} left to another process, 0 not published" in printed
    )
    assert "lr-0.01 seed-0: left to another process that is syncing it" in printed
    assert "champion: not moved: another process is syncing lr-0.01 seed-1" in printed
    assert sum(shown["status"] == "RUNNING" for shown in studies.snapshot(store).values()) == COUNT


def test_a_run_whose_log_is_being_written_is_left_to_its_training(
    study: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_log, "start_follower", lambda: None)
    studies.write_study(study)
    with LiveLog(params.load(), data.read(), 0.01, 0, studies.key(0.01, 0)) as log:
        publish()
        shown = studies.snapshot(store)
        assert shown.pop(studies.key(0.01, 0))["status"] == "RUNNING"
        assert {run["status"] for run in shown.values()} == {"FINISHED"}
        log.finish(runs.folder(study / "runs", 0.01, 0))
    assert publish() == 0
    assert studies.snapshot(store)[studies.key(0.01, 0)]["status"] == "FINISHED"


def views(store: Store) -> dict[str, dict[str, Any]]:
    """The pages that are saved in the experiment, by their keys."""
    tags = store.client.get_experiment(store.experiment_id).tags
    prefix = "mlflow.sharedViewState."
    saved = {name.removeprefix(prefix): value for name, value in tags.items() if name.startswith(prefix)}
    assert max(map(len, saved.values())) < 20_000  # what MLflow takes
    return {
        name: json.loads(zlib.decompress(base64.b64decode(value.removeprefix("deflate;"))))
        for name, value in saved.items()
    }


def test_the_comparison_page_shows_which_rate_first_and_folds_the_diagnostics(
    study: Path, store: Store
) -> None:
    studies.write_study(study)
    publish()
    pages = views(store)
    pages.pop("studies")
    ((study_id, page),) = pages.items()
    assert page["searchFilter"] == f'tags.`study.{study_id}` = "yes"'
    shown = store.client.search_runs([store.experiment_id], page["searchFilter"])
    assert len(shown) == COUNT
    which, diagnostics = (section["uuid"] for section in page["compareRunSections"])
    assert [section["display"] for section in page["compareRunSections"]] == [True, False]
    charts = page["compareRunCharts"]
    response, *curves = (chart for chart in charts if chart["metricSectionId"] == which)
    assert (response["xaxis"]["key"], response["yaxis"]["key"]) == (
        "log10_learning_rate",
        "kept_val_accuracy",
    )
    assert [chart["metricKey"] for chart in curves] == ["val_loss", "val_accuracy", "loss"]
    folded = {chart["metricKey"] for chart in charts if chart["metricSectionId"] == diagnostics}
    assert folded == set(studies.COLUMNS) - {"val_loss", "val_accuracy", "loss"}
    for run in shown:
        assert run.data.metrics.keys() >= {"log10_learning_rate", "kept_val_accuracy"}


def test_the_page_of_all_studies_shows_those_of_every_data_set(study: Path, store: Store) -> None:
    studies.write_study(study)
    publisher = publish_outputs()
    tags = store.client.get_experiment(store.experiment_id).tags
    other = store.client.create_experiment("learning-rate-study-other", tags=tags)
    store.client.create_experiment("of somebody else")
    page = unquote(publisher.pages("http://host/")[1])
    assert page.startswith(
        f'http://host/#/compare-experiments/s?experiments=["{store.experiment_id}","{other}"]&'
    )


def test_all_runs_of_a_rate_have_the_report_s_colour(study: Path, store: Store) -> None:
    studies.write_study(study)
    publish()
    colours = {
        (run.data.params["learning_rate"], run.data.tags["mlflow.runColor"])
        for runs_of_key in store.index().values()
        for run in runs_of_key
        if run.data.tags["kind"] == "run"
    }
    in_report = [colour.light for colour in style.rate_colours(len(studies.RATES))]
    assert colours == set(zip(map(str, sorted(studies.RATES)), in_report, strict=True))


def test_studies_can_be_compared_by_mean_interval_and_status_of_each_rate(study: Path, store: Store) -> None:
    studies.write_study(study)
    interval = {"mean": 0.5, "low": 0.4, "high": 0.6}
    rates = {
        "lr-0.01": {"status": "chosen", "validation_accuracy": interval},
        "lr-0.001": {"status": "worse", "validation_accuracy": {"mean": 0.25, "low": None, "high": None}},
    }
    studies.write_report(study, rates=rates)
    publish()
    (run,) = store.client.search_runs([store.experiment_id], views(store)["studies"]["searchFilter"])
    assert run.data.tags["status/lr-0.01"] == "chosen"
    assert run.data.tags["status/lr-0.001"] == "worse"
    numbers = run.data.metrics
    assert (numbers["learning_rate"], numbers["chosen"]) == (0.01, 0.5)
    assert (numbers["chosen_low"], numbers["validation_accuracy_high/lr-0.01"]) == (0.4, 0.6)
    assert studies.history(store, run, "by_rate_log10") == [(0, -3), (1, -2)]
    assert studies.history(store, run, "by_rate_validation_accuracy") == [(0, 0.25), (1, 0.5)]
    assert studies.history(store, run, "by_rate_validation_accuracy_low") == [(1, 0.4)]


def test_the_champion_follows_the_evidence_and_nothing_else(study: Path, store: Store) -> None:
    studies.write_study(study)
    publish()
    assert studies.champion(store) == ("1", studies.key(0.01, 1))
    version = store.client.get_model_version("digits-classifier", "1")
    notes = {shown["tags"].get("mlflow.note.content") for shown in studies.snapshot(store).values()}
    assert "Use learning rate 0.01.\nIt reaches 97 %.\n\n- Its interval lies above the others." in notes
    assert version.tags["reason.1"] == "Its interval lies above the others."
    assert version.tags["learning_rate"] == "0.01"

    studies.write_report(study, 0.001)
    publish()
    assert studies.champion(store) == ("2", studies.key(0.001, 1))

    # A person's choice stands until there is new evidence.
    store.client.set_registered_model_alias("digits-classifier", "champion", "1")
    publish()
    assert studies.champion(store)[0] == "1"

    # The first study again: its version is there already.
    studies.write_report(study, 0.01)
    publish()
    assert studies.champion(store)[0] == "1"
    assert len(store.client.search_model_versions("name = 'digits-classifier'")) == 2


def test_own_data_have_an_experiment_a_hash_and_a_model_of_their_own(study: Path) -> None:
    reading.override(
        study / "params.yaml", {"data.dataset": "own", "optimizer": {"name": "sgd", "momentum": 0.9}}
    )
    scaling = Scaling((1.0, 2.0), (0.5, 1.0), levels=False)
    sizes = {"train": 80, "validation": 10, "test": 10}
    task.write(study / "data/scaled", Task("own", (2,), ("healthy", "ill"), scaling, sizes))
    studies.write_study(study)
    assert publish() == 0

    store = open_store("own")
    assert store.client.get_experiment(store.experiment_id).name == "learning-rate-study-own"
    (run,) = store.find(studies.key(0.01, 1))
    assert run.data.tags["sha256.scaled"] == files.sha256(study / "data/scaled")
    assert (run.data.params["optimizer"], run.data.params["optimizer_momentum"]) == ("sgd", "0.9")
    assert "optimizer_weight_decay" not in run.data.params  # it is off
    (used,) = run.inputs.dataset_inputs
    assert json.loads(used.dataset.profile)["classes"] == ["healthy", "ill"]
    description = store.client.get_registered_model("own-classifier").description
    assert description.startswith("own data: examples of 2 numbers in, the probabilities of 2 classes out.")
    assert description.endswith("The classes: healthy, ill")


def test_without_the_scaled_data_it_says_what_to_do(study: Path) -> None:
    studies.write_study(study)
    shutil.rmtree(study / "data")
    with pytest.raises(DataError, match=r"task\.json: expected a JSON file, found none\. Run `dvc repro`"):
        publish()


def test_a_champion_whose_run_was_deleted_is_registered_again(study: Path, store: Store) -> None:
    studies.write_study(study)
    publish()
    (run,) = store.find(studies.key(0.01, 1))
    store.client.delete_run(run.info.run_id)
    publish()
    version, key = studies.champion(store)
    assert (version, key) == ("2", studies.key(0.01, 1))
    registered = store.client.get_model_version("digits-classifier", version)
    assert store.client.get_run(registered.run_id).info.lifecycle_stage == "active"


def test_a_verdict_without_a_choice_registers_no_model(study: Path, store: Store) -> None:
    studies.write_study(study)
    studies.write_report(study, None)
    assert publish() == 0
    assert store.client.search_registered_models() == []


def test_another_rate_is_another_study_with_the_same_runs(study: Path, store: Store) -> None:
    studies.write_study(study)
    publish()
    reading.override(study / "params.yaml", {"train.learning_rates": [0.01]})
    assert publish() == 0
    listed = {
        shown["name"]: sorted(tag for tag in shown["tags"] if tag.startswith("study."))
        for shown in studies.snapshot(store).values()
        if shown["tags"]["kind"] == "run"
    }
    assert len(listed["lr-0.01 seed-0"]) == 2
    assert len(listed["lr-0.001 seed-0"]) == 1


def test_a_store_that_does_not_answer_is_one_clear_error(
    study: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    studies.write_study(study)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(ToolError, match=r"http://127.0.0.1:9: expected MLflow's store to answer, got: "):
        publish()


OUTDATED = "Detected out-of-date database schema (found version a, but expected b). " + 15 * "Take a backup. "


@pytest.mark.parametrize(
    ("uri", "check"), [("", "Then"), ("x", "Check MLFLOW_TRACKING_URI and the server, then")]
)
def test_what_mlflow_says_is_whole_and_an_address_is_named_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, uri: str, check: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ToolError) as caught, explained("sqlite:///mlflow.db"):
        raise ValueError(OUTDATED + "mlflow db upgrade")
    assert f"{OUTDATED}mlflow db upgrade. {check} `python -m pipeline publish`" in str(caught.value)


@pytest.mark.hard
def test_files_that_are_lost_are_sent_again(
    study: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    studies.write_study(study)
    assert publish() == 0
    before = studies.snapshot(store)
    shutil.rmtree(study / "mlartifacts")
    assert publish() == 0
    assert f"publish: {COUNT + 2} changed" in capsys.readouterr().out
    assert studies.snapshot(store) == before
    champion = store.client.get_model_version_by_alias("digits-classifier", "champion")
    (run,) = store.find(champion.tags["run_key"])
    assert champion.run_id == run.info.run_id
    assert store.client.list_logged_model_artifacts(champion.source.removeprefix("models:/"))


def test_the_store_of_a_copy_is_made_anew_and_the_original_stays(
    study: Path,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    studies.write_study(study)
    assert publish() == 0
    before, files_before = studies.snapshot(store), files.sha256(study)
    copy = tmp_path / "copy"
    shutil.copytree(study, copy)
    monkeypatch.chdir(copy)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # MLflow sets it in its process
    assert publish(dry_run=True) == 0
    assert publish() == 0
    said = capsys.readouterr()
    assert f"note: {copy / 'mlflow.db'} was made in another folder" in said.err
    again = open_store("digits")
    assert studies.snapshot(again) == before
    for (run,) in again.index().values():
        assert run.info.artifact_uri.startswith((copy / "mlartifacts").as_uri())
    assert publish() == 0
    assert "publish: 0 changed" in capsys.readouterr().out
    assert files.sha256(study) == files_before


@pytest.mark.usefixtures("study")
@pytest.mark.hard
def test_a_store_of_one_s_own_in_the_repository_is_made_anew_after_a_move(
    tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    studies.make_database(empty_database, tmp_path, "own.db")
    (tmp_path / "own.db").replace("own.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///own.db")
    store = open_store("digits")
    assert "own.db was made in another folder" in capsys.readouterr().err
    location = store.client.get_experiment(store.experiment_id).artifact_location
    assert location == address.artifacts().as_uri()
    open_store("digits")
    assert not capsys.readouterr().err


@pytest.mark.usefixtures("study")
def test_a_shared_store_is_refused_only_if_the_repository_with_its_files_is_gone(
    tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other one"
    other.mkdir()
    studies.make_database(empty_database, other)
    (other / "mlflow.db").replace(tmp_path / "shared.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'shared.db'}")
    store = open_store("digits")
    assert store.client.get_experiment(store.experiment_id).artifact_location.startswith(other.as_uri())
    other.rmdir()
    for create in (False, True):
        with pytest.raises(ToolError, match=r"expected the folder .*other one/mlartifacts, got none: .* Put"):
            open_store("digits", create=create)


@pytest.mark.hard
def test_every_move_keeps_the_store_that_it_sets_aside(
    study: Path,
    tmp_path: Path,
    empty_database: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("mlflow.db.elsewhere", "mlflow.db.elsewhere-2"):
        (study / name).write_text("kept", encoding="utf-8")
    studies.make_database(empty_database, tmp_path)
    (tmp_path / "mlflow.db").replace(study / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    note = f"mlflow.db was made in another folder, where its runs' files are. `publish` keeps it as {study}/"
    open_store("digits", create=False)
    assert f"{note}mlflow.db.elsewhere-3" in capsys.readouterr().err
    assert (study / "mlflow.db").exists()
    open_store("digits")
    assert f"{note}mlflow.db.elsewhere-3" in capsys.readouterr().err
    assert {path.name for path in study.glob("*.elsewhere*") if path.read_bytes() == b"kept"} == {
        "mlflow.db.elsewhere",
        "mlflow.db.elsewhere-2",
    }


@pytest.mark.hard
def test_a_folder_may_have_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "q?x a#b 50%41 a;b&c=d' line\nfeed\\ü"
    folder = tmp_path / name
    studies.make_study(folder)
    studies.write_study(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("pipeline.tracking.chart.draw", lambda path, *_: path.write_text("chart"))
    assert publish() == 0
    said = capsys.readouterr().err
    assert said.count(f"warning: MLflow cannot load models from {folder}/mlartifacts") == 1
    assert publish() == 0
    assert "publish: 0 changed" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {name}
    assert {"mlflow.db", "mlartifacts"} <= {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:"])
@pytest.mark.usefixtures("study")
def test_a_store_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ToolError, match=r"expected a store that lasts, got sqlite.* Name a file"):
        open_store("digits")
    assert not list(Path().glob(":memory:*"))


def test_a_home_in_an_address_is_the_user_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///~/runs.db")
    assert address.tracking_uri() == f"sqlite:///{tmp_path}/runs.db"


def test_a_relative_address_is_seen_from_the_repository_also_in_dvcs_copies(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///some%20where/own.db")
    monkeypatch.setenv("DVC_ROOT", str(study))
    monkeypatch.chdir(tmp_path)
    assert address.tracking_uri() == f"sqlite:///{study}/some where/own.db"
    assert address.database(address.tracking_uri()) == study / "some where/own.db"


def test_a_rate_and_a_layer_may_have_names_that_mlflow_does_not_take(
    study: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"train.learning_rates": [1e16, 0.01], "network.values": {"of a+b": list(range(3000))}}
    reading.override(study / "params.yaml", changes)
    monkeypatch.setattr(studies, "COLUMNS", (*studies.COLUMNS, "dead_units_a>b"))
    for rate, seed in itertools.product((1e16, 0.01), studies.SEEDS):
        studies.write_run(study, rate, seed)
    rates = {f"lr-{rate}": {"test_accuracy": 0.75, "status": "worse"} for rate in (1e16, 0.01)}
    studies.write_report(study, rates=rates)
    assert publish() == 0
    shown = studies.snapshot(store)
    assert {run["name"] for run in shown.values()} >= {"lr-1e+16 seed-0", "lr-0.01 seed-1"}
    (whole,) = (run for run in shown.values() if run["tags"]["kind"] == "study")
    assert whole["metrics"]["test_accuracy/lr-1e16"] == [(0, 0.75)]
    assert studies.champion(store)[0] == "1"


def test_what_a_server_answers_shows_no_password(
    study: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    studies.write_study(study)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://alice:s3cr@t@127.0.0.1:9")
    with pytest.raises(ToolError) as caught:
        publish()
    assert "127.0.0.1" in str(caught.value)
    assert "s3cr" not in str(caught.value)
    assert "alice" not in str(caught.value)
