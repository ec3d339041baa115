"""`verify`: the report must follow from the runs that dvc.lock names, drawn or not."""

from pathlib import Path

import pytest

from pipeline.params import reading
from pipeline.verify.command import verify
from tests.conftest import run_dvc
from tests.verify.conftest import commit, forge, forget, recorded, replace

pytestmark = pytest.mark.hard
NOWHERE = f"{'0' * 32}.dir"
WHERE = pytest.mark.parametrize("here", [True, False], ids=["in the folder", "in the cache"])


@WHERE
def test_an_edited_hash_of_the_folder_of_runs_is_found(
    study: Path, capfd: pytest.CaptureFixture[str], here: bool
) -> None:
    md5 = recorded("runs")
    replace(Path("dvc.lock"), md5, NOWHERE)
    commit(study, "forged")
    forget(folder=not here, cache=here)

    assert verify(0) == 1

    said = capfd.readouterr()
    assert (
        f"dvc.lock contradicts itself: report used runs with the MD5 {NOWHERE}, but what the other stages "
        f"made in it has {md5}." in said.err
    )


@WHERE
def test_a_report_that_was_not_made_again_after_its_runs_is_found(
    study: Path, capfd: pytest.CaptureFixture[str], here: bool
) -> None:
    before = recorded("runs")
    replace(Path("train.py"), "0.9 + rate", "0.8 + rate")
    assert run_dvc(study, "repro", "train").returncode == 0
    commit(study, "new runs, old report")
    forget(folder=not here, cache=here)

    assert verify(0) == 1
    assert f"report used runs with the MD5 {before}, but what the other stages" in capfd.readouterr().err


@WHERE
def test_a_forged_verdict_is_found_by_making_the_report_again(
    study: Path, capfd: pytest.CaptureFixture[str], here: bool
) -> None:
    right = recorded("report/verdict.json")
    forge("report/verdict.json", '"learning_rate": 0.01', '"learning_rate": 0.001')
    forget(folder=not here, cache=here)

    assert verify(0) == 1

    said = capfd.readouterr()
    assert "makes the report again from the runs that dvc.lock names" in said.out
    assert (
        f"report/verdict.json: dvc.lock says {recorded('report/verdict.json')}, the rerun made {right}.\n"
        "    verdict.json: learning_rate 0.001 before, 0.01 in the rerun (+0.009)\n" in said.err
    )
    assert "1 difference(s)" in said.err
    assert study.joinpath("report/verdict.json").read_text().startswith('{"learning_rate": 0.001')


def test_a_genuine_report_is_made_again_and_equal(study: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert verify(0) == 0

    said = capfd.readouterr().out
    assert "5 outputs of 3 stages are those of dvc.lock, byte for byte\n" in said
    assert "not checked" not in said
    assert list((study.parent / "temporary").iterdir()) == []


@pytest.mark.usefixtures("study")
def test_without_the_runs_it_says_what_was_not_checked_and_all_checks_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    replace(Path("dvc.lock"), recorded("runs"), NOWHERE)
    commit(Path(), "forged")
    forget()

    assert verify(0) == 0
    said = capfd.readouterr().out
    assert (
        "verify: not checked: the report, since it needs runs/lr-0.01/seed-0, runs/lr-0.01/seed-1 and 2 "
        "more, which neither this folder nor DVC's cache has as dvc.lock names it. `dvc pull` brings it, "
        "`--all` makes it.\n" in said
    )

    assert verify(0, all=True) == 1
    said = capfd.readouterr()
    assert "not checked" not in said.out
    assert f"report used runs with the MD5 {NOWHERE}" in said.err


def test_runs_of_a_rate_that_was_taken_out_may_stay_where_they_are(
    study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """DVC leaves them, counts them in the hash of the folder, and keeps them in dvc.lock."""
    reading.override(study / "params.yaml", {"train.learning_rates": [0.01]})
    assert run_dvc(study, "repro").returncode == 0
    commit(study, "one rate less")

    assert verify(0) == 0, capfd.readouterr().err
    assert "not checked" not in capfd.readouterr().out


def test_entries_of_stages_that_are_gone_claim_nothing(
    study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A rate is removed and the split changes: dvc.lock still says what the rate was trained on."""
    reading.override(study / "params.yaml", {"train.learning_rates": [0.01], "data.validation_size": 99})
    replace(Path("stage.py"), '("data/raw/two").read_text())', '("data/raw/two").read_text() + "3")')
    before = recorded("data/scaled")
    assert run_dvc(study, "repro").returncode == 0
    assert recorded("data/scaled") != before
    assert before in Path("dvc.lock").read_text()
    commit(study, "one rate less, another split")

    assert verify(0) == 0, capfd.readouterr().err
    assert verify(0, all=True) == 0, capfd.readouterr().err


def test_a_file_that_no_stage_made_among_the_runs_is_found(
    study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (study / ".git" / "info" / "exclude").write_text("notes.txt\n")
    (study / "runs" / "notes.txt").write_text("mine")
    assert run_dvc(study, "repro").returncode == 0
    commit(study, "with a note")

    assert verify(0) == 1
    assert "Remove what else lies in runs, if anything does." in capfd.readouterr().err
