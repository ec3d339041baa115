"""`publish`: MLflow as the outputs have it, whatever happened to it before."""

import shutil
from pathlib import Path

import pytest

from pipeline.tracking.publish import publish
from pipeline.core import runs
from pipeline.core.errors import ToolError
from pipeline.tracking import lease, sync
from pipeline.tracking.lease import Owner
from pipeline.tracking.store import Store, open_store
from tests import tracking_fixtures as fixtures
from tests.mlflow_fixtures import empty_database, make_database, store, study  # noqa: F401

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

COUNT = len(fixtures.RATES) * len(fixtures.SEEDS)


def test_a_deleted_store_comes_back_as_it_was(
    study: Path,  # noqa: F811
    store: Store,  # noqa: F811
    empty_database: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fixtures.write_study(study)
    assert publish() == 0
    assert "lr-0.01 seed-0: created" in capsys.readouterr().out
    before, crowned = fixtures.snapshot(store), fixtures.champion(store)
    assert len(before) == COUNT + 1
    assert {shown["status"] for shown in before.values()} == {"FINISHED"}

    assert publish() == 0
    assert f"publish: 0 changed, {COUNT + 3} right already, 0 not published" in capsys.readouterr().out
    assert fixtures.snapshot(store) == before

    # Under another name, since MLflow keeps the connections of this process to the first one.
    (study / "mlflow.db").unlink()
    shutil.rmtree(study / "mlartifacts")
    make_database(empty_database, study, "second.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{study / 'second.db'}")
    assert publish() == 0
    again = open_store("digits")
    assert fixtures.snapshot(again) == before
    assert fixtures.champion(again) == crowned


def test_a_dry_run_says_what_it_would_do_and_does_nothing(
    study: Path,  # noqa: F811
    store: Store,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    fixtures.write_study(study)
    assert publish(dry_run=True) == 0
    assert "lr-0.01 seed-0: would be created" in capsys.readouterr().out
    assert fixtures.snapshot(store) == {}
    (study / "mlflow.db").unlink()
    assert publish(dry_run=True) == 0
    assert not (study / "mlflow.db").exists()


def test_incomplete_outputs_are_named_and_the_rest_is_published(
    study: Path,  # noqa: F811
    store: Store,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    fixtures.write_study(study)
    shutil.rmtree(runs.folder(study / "runs", 0.01, 1))
    (runs.folder(study / "runs", 0.001, 1) / runs.METRICS).write_text("{", encoding="utf-8")
    assert publish() == 1
    said = capsys.readouterr().err
    assert "lr-0.01 seed-1: not published. runs/lr-0.01/seed-1: expected the run with learning rate" in said
    assert "lr-0.001 seed-1: not published. runs/lr-0.001/seed-1: expected the run" in said
    names = {shown["name"] for shown in fixtures.snapshot(store).values()}
    assert names == {"lr-0.01 seed-0", "lr-0.001 seed-0"}


def test_runs_from_before_the_code_changed_are_left_as_they_are(
    study: Path,  # noqa: F811
    store: Store,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    fixtures.write_study(study)
    (study / "loop.py").write_text("code that has changed\n", encoding="utf-8")
    assert publish() == 1
    assert "was trained from other parameters, data or code than there are now" in capsys.readouterr().err
    assert fixtures.snapshot(store) == {}


def test_what_claims_to_be_running_and_is_dead_is_killed(study: Path, store: Store) -> None:  # noqa: F811
    fixtures.write_study(study)
    dead = sync.create(store, "0" * 64, "of another study", {})
    store.client.set_tag(dead.info.run_id, lease.TAG, Owner.myself()._replace(pid=2**22 + 1).tag())
    alive = sync.create(store, "1" * 64, "being trained", {})
    foreign = store.client.create_run(store.experiment_id, run_name="somebody else's")
    publish()
    states = {run.info.run_name: run.info.status for run in store._search("")}
    assert states["of another study"] == "KILLED"
    assert states["being trained"] == "RUNNING"
    assert states["somebody else's"] == "RUNNING"
    assert alive.info.run_id != foreign.info.run_id


def test_what_another_process_delivers_is_not_called_right(
    study: Path,  # noqa: F811
    store: Store,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fixtures.write_study(study)
    monkeypatch.setattr(sync, "deliver", lambda *_: sync.Outcome.BUSY)

    assert publish() == 0
    said = capsys.readouterr().out
    assert f" right already, {COUNT + 1} left to another process that delivers them, 0 not published" in said
    assert "lr-0.01 seed-0: left to the process that is delivering it" in said
    assert fixtures.snapshot(store) == {}


def test_the_champion_follows_the_evidence_and_nothing_else(study: Path, store: Store) -> None:  # noqa: F811
    fixtures.write_study(study)
    publish()
    assert fixtures.champion(store) == ("1", fixtures.key(0.01, 1))
    version = store.client.get_model_version("digits-classifier", "1")
    notes = {run.data.tags.get("mlflow.note.content") for run in store._search("")}
    assert "Use learning rate 0.01.\nIt reaches 97 %.\n\n- Its interval lies above the others." in notes
    assert version.tags["reason.1"] == "Its interval lies above the others."
    assert version.tags["learning_rate"] == "0.01"

    fixtures.write_report(study, 0.001)
    publish()
    assert fixtures.champion(store) == ("2", fixtures.key(0.001, 1))

    # A person's choice stands until there is new evidence.
    store.client.set_registered_model_alias("digits-classifier", "champion", "1")
    publish()
    assert fixtures.champion(store)[0] == "1"

    # The first study again: its version is there already.
    fixtures.write_report(study, 0.01)
    publish()
    assert fixtures.champion(store)[0] == "1"
    assert len(store.client.search_model_versions("name = 'digits-classifier'")) == 2


def test_a_champion_whose_run_was_deleted_is_crowned_anew(study: Path, store: Store) -> None:  # noqa: F811
    fixtures.write_study(study)
    publish()
    (run,) = store.find(fixtures.key(0.01, 1))
    store.client.delete_run(run.info.run_id)
    publish()
    version, key = fixtures.champion(store)
    assert (version, key) == ("2", fixtures.key(0.01, 1))
    registered = store.client.get_model_version("digits-classifier", version)
    assert store.client.get_run(registered.run_id).info.lifecycle_stage == "active"


def test_a_verdict_without_a_choice_crowns_nobody(study: Path, store: Store) -> None:  # noqa: F811
    fixtures.write_study(study)
    fixtures.write_report(study, None)
    assert publish() == 0
    assert store.client.search_registered_models() == []


def test_another_rate_is_another_study_with_the_same_runs(study: Path, store: Store) -> None:  # noqa: F811
    from pipeline.params import reading

    fixtures.write_study(study)
    publish()
    reading.override(study / "params.yaml", {"train.learning_rates": [0.01]})
    assert publish() == 0
    listed = {
        shown["name"]: sorted(tag for tag in shown["tags"] if tag.startswith("study."))
        for shown in fixtures.snapshot(store).values()
        if shown["tags"]["kind"] == "run"
    }
    assert len(listed["lr-0.01 seed-0"]) == 2
    assert len(listed["lr-0.001 seed-0"]) == 1


def test_a_store_that_does_not_answer_is_one_clear_error(
    study: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fixtures.write_study(study)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(ToolError, match=r"http://127.0.0.1:9: expected MLflow's store to answer, got: "):
        publish()


def test_what_a_server_answers_shows_no_password(
    study: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fixtures.write_study(study)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://alice:s3cr@t@127.0.0.1:9")
    with pytest.raises(ToolError) as caught:
        publish()
    assert "127.0.0.1" in str(caught.value)
    assert "s3cr" not in str(caught.value)
    assert "alice" not in str(caught.value)
