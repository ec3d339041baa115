"""The parts of `verify` that compute: hashes, dvc.lock, the draw, differences, the record of environments."""

import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import DataError
from pipeline.verify import changes, differences, environments, hashes, lockfile, tolerance
from pipeline.verify.command import draw_runs
from pipeline.verify.lockfile import StageHashes
from tests.conftest import ROOT


@pytest.mark.parametrize(
    "hidden", [".seed-0-0a1b2c3d/history.csv", "seed-0/__pycache__/a.pyc", "seed-0/a.pyc"]
)
def test_what_dvc_ignores_is_no_part_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    """What a killed training left, and the bytecode that Python writes into folders of code."""
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(ROOT / ".dvcignore", ".dvcignore")
    run = Path("runs/lr-0.1")
    (run / "seed-0").mkdir(parents=True)
    (run / "seed-0/history.csv").write_text("1")
    before = hashes.md5(run.parent)
    (run / hidden).parent.mkdir(exist_ok=True)
    (run / hidden).write_text("2")
    assert hashes.md5(run.parent) == before


def test_a_folders_hash_is_that_of_its_listing(tmp_path: Path) -> None:
    """What DVC 3 writes for the two files; tests/verify/test_verify.py compares with a dvc.lock."""
    (tmp_path / "two").write_text("2")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "one").write_text("1")

    assert hashes.md5(tmp_path / "two") == "c81e728d9d4c2f636f067f89cc14862c"
    assert hashes.md5(tmp_path) == "71d42796a3d81ababe907b7466463e3e.dir"


def test_a_change_is_seen_that_leaves_size_and_time_as_they_were(tmp_path: Path) -> None:
    """DVC's own table of hashes, which goes by these, is not asked."""
    file = tmp_path / "folder" / "file"
    file.parent.mkdir()
    file.write_text("1")
    before, then = hashes.md5(file.parent), file.stat()
    file.write_text("2")
    os.utime(file, ns=(then.st_atime_ns, then.st_mtime_ns))
    assert hashes.md5(file.parent) != before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"stages: [1]",
        b"stages: {a: {outs: [{path: b}]}}",
        b"{",
        b"schema: '2.0'\nstages: {a: 1}",
        b"- 1",
        b"schema: '2.0'\nstages: {a: {cmd: b, outs: 1}}",
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_what_dvc_did_not_write_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dvc.lock").write_bytes(content)
    with pytest.raises(
        DataError, match=r"^dvc\.lock: expected what DVC writes, got something else \(.+\)\. Bring it"
    ):
        lockfile.read(tmp_path / "dvc.lock")


def test_a_lock_is_read_as_hashes_by_path(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(
        f"schema: '2.0'\nstages:\n  a:\n    cmd: x\n    deps:\n    - path: in\n      md5: {'1' * 32}\n"
        f"    outs:\n    - path: out\n      md5: {'2' * 32}.dir\n      size: 3\n  b:\n    cmd: y\n"
        "    outs:\n    - path: forgotten\n"
    )
    assert lockfile.read(tmp_path / "dvc.lock") == {
        "a": StageHashes({"in": "1" * 32}, {"out": "2" * 32 + ".dir"}),
        "b": StageHashes({}, {"forgotten": "none"}),
    }


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a"], "a"),
        (["a", "b"], "a, b"),
        (["a", "b", "c"], "a, b and 1 more"),
        (list("abcde"), "a, b and 3 more"),
    ],
)
def test_long_lists_are_cut(names: list[str], said: str) -> None:
    assert lockfile.first_few(names) == said


def test_the_draw_depends_on_the_commit_alone() -> None:
    names = [f"train@{rate}-{seed}" for rate in (0.1, 0.01) for seed in range(5)]
    drawn = [tuple(draw_runs(f"{number:040x}", names, 2)) for number in range(400)]

    assert drawn == [tuple(draw_runs(f"{number:040x}", names[::-1], 2)[::-1]) for number in range(400)]
    assert all(list(pair) == [name for name in names if name in pair] for pair in drawn)
    counts = {name: sum(name in pair for pair in drawn) for name in names}
    assert min(counts.values()) > 50  # of 80 expected: every run comes up
    assert draw_runs("a", names, 99) == names
    assert draw_runs("a", names, 0) == []


def test_contradictions_name_both_sides() -> None:
    lock = {
        "scale": StageHashes({}, {"data/scaled": "a.dir"}),
        "one": StageHashes({"data/scaled": "b.dir", "code.py": "c"}, {}),
        "two": StageHashes({"data/scaled": "b.dir"}, {}),
        "three": StageHashes({"data/scaled": "b.dir"}, {}),
        "right": StageHashes({"data/scaled": "a.dir"}, {}),
    }

    assert lockfile.contradictions(lock) == [
        "dvc.lock contradicts itself: one, two and 1 more used data/scaled with the MD5 b.dir, "
        "but scale made it with a.dir."
    ]


def test_a_status_that_nobody_foresaw_is_not_passed_over() -> None:
    lock = {"scale": StageHashes({}, {"data/scaled": "a"})}
    status = {"scale": ["changed checksum", {"changed deps": {"gone.py": "deleted"}}]}

    assert changes.committed(["scale"], status, lock) == [
        "The checksum in dvc.yaml changed since scale ran: dvc.lock does not follow from it.",
        "gone.py changed (deleted) since scale ran: dvc.lock does not follow from it.",
    ]


def test_a_stage_that_is_new_is_named_once_and_the_others_are_looked_at_all_the_same() -> None:
    status = {
        "train@new": ["changed command"],
        "scale": [{"changed deps": {"params.yaml": {"data.dataset": "modified"}}}],
        "report": [{"changed deps": {"params.yaml": {"data.dataset": "modified"}}}],
    }
    lock = {"scale": StageHashes({}, {"data/scaled": "a"}), "report": StageHashes({}, {"report": "b"})}

    assert changes.committed(["train@new", "scale", "report"], status, lock) == [
        "dvc.lock does not know train@new, which params.yaml asks for.",
        "params.yaml, key data.dataset, changed (modified) since scale, report ran: "
        "dvc.lock does not follow from it.",
    ]


def test_of_outputs_only_those_that_git_holds_can_have_changed_in_a_clean_copy() -> None:
    lock = {"train": StageHashes({}, {"runs/lr-0.1": "a"}), "scale": StageHashes({}, {"data/scaled": "b"})}
    lock["report"] = StageHashes({}, {})
    status = {
        "report": [
            {
                "changed deps": {"runs": "deleted", "data/scaled": "deleted"},
                "changed outs": {"report/figures": "not in cache", "report/summary.md": "modified"},
            }
        ]
    }

    assert changes.committed([], status, lock) == [
        "report/summary.md, which git holds, changed (modified) since report ran: "
        "dvc.lock does not follow from it."
    ]


HISTORY = "epoch,loss\n1,0.5\n2,0.25\n"


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (
            "epoch,loss\n1,0.5\n2,0.26\n",
            "differs from epoch 2 on: loss 0.25 before, 0.26 in the rerun (+0.01)",
        ),
        ("epoch,loss\n1,nan\n2,0.25\n", "differs from epoch 1 on: loss 0.5 before, nan in the rerun (+nan)"),
        ("epoch,loss\n1,0.5\n", "the same up to epoch 1, 2 epochs before and 1 in the rerun"),
        ("epoch,loss,more\n1,0.5,1\n2,0.25,1\n", "the columns differ"),
    ],
)
def test_the_first_epoch_that_differs_and_by_how_much(tmp_path: Path, after: str, said: str) -> None:
    files = tmp_path / "before", tmp_path / "after"
    for file, text in zip(files, (HISTORY, after), strict=True):
        file.write_text(text)
    assert differences.first_difference(*files) == said


def test_each_file_that_differs_is_named(tmp_path: Path) -> None:
    for side, model, extra in (("before", b"12", "gone"), ("after", b"345", "new")):
        (tmp_path / side).mkdir()
        (tmp_path / side / "model.keras").write_bytes(model)
        (tmp_path / side / "same").write_text("same")
        (tmp_path / side / extra).write_text("")
        (tmp_path / side / "broken.json").write_text("{}" if side == "before" else "{")
        (tmp_path / side / "form.json").write_text("{}" if side == "before" else "{ }")
        numbers = dict.fromkeys("abcdef", 1 if side == "before" else 2)
        (tmp_path / side / "many.json").write_text(json.dumps({"in": numbers}))

    assert differences.file_changes(*(hashes.files_of(tmp_path / side) for side in ("before", "after"))) == [
        "broken.json: differs (2 bytes before, 1 in the rerun); one of the two cannot be read: "
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        "form.json: differs in its form",
        "gone: missing in the rerun",
        "many.json: "
        + ", ".join(f"in.{key} 1 before, 2 in the rerun (+1)" for key in "abcd")
        + " and 2 more",
        "model.keras: differs (2 bytes before, 3 in the rerun)",
        "new: new in the rerun",
    ]


def metrics(best: float, final: float, test: float | None, diverged: int | None = None) -> dict[str, object]:
    return {
        "learning_rate": 0.1,
        "seed": 0,
        "diverged_epoch": diverged,
        "best": {"val_accuracy": best},
        "final": {"val_accuracy": final},
        "test": {"accuracy": test},
    }


HEADER = b"learning_rate,seed,diverged_epoch,best_val_accuracy,final_val_accuracy,test_accuracy\n"
NONE = "none (it diverged, or is not there)"
Table = Callable[[bytes], tolerance.Accuracies]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Read the rows of a comparison.csv."""

    def read(rows: bytes) -> tolerance.Accuracies:
        (tmp_path / "a.csv").write_bytes(HEADER + rows)
        return tolerance.of_table(tmp_path / "a.csv")

    return read


def test_a_run_is_compared_with_its_row(table: Table) -> None:
    before = table(b"0.1,0,,0.5,0.5,0.75\n")

    assert list(before) == [f"lr-0.1/seed-0 {name}" for name in tolerance.COLUMNS]
    after = tolerance.of_metrics(metrics(0.5, 0.75, 0.875))
    assert tolerance.gaps(before, after, 0.25) == (0.25, [])  # the tolerance itself passes
    assert tolerance.gaps(before, after, 0.2) == (
        0.25,
        ["lr-0.1/seed-0 final_val_accuracy: 0.5000 before, 0.7500 in the rerun"],
    )


@pytest.mark.parametrize("row", [b"0.1,0,3,,,\n", b"0.1,0,3,0.5,0.5,0.5\n"])
def test_divergence_counts(table: Table, row: bytes) -> None:
    """Whatever a run reached before it diverged."""
    before, converged = table(row), tolerance.of_metrics(metrics(0.5, 0.5, 0.5))

    assert tolerance.gaps(before, tolerance.of_metrics(metrics(0.9, 0.9, None, 2)), 0) == (0, [])
    for sides in ((converged, before), (converged, {}), (before, converged)):
        gap, lines = tolerance.gaps(*sides, 1)
        assert gap == math.inf
        assert len(lines) == 3
    assert lines[2] == f"lr-0.1/seed-0 test_accuracy: {NONE} before, 0.5000 in the rerun"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "No columns to parse"),
        (HEADER, "no run"),
        (b"learning_rate,seed\n0.1,0\n", "Usecols do not match columns"),
        (HEADER + b"0.1,0\n", "best_val_accuracy nan"),
        (HEADER + b"0.1,zero,,0.9,0.9,0.9\n", "invalid literal for int"),
        (HEADER + b"high,0,,0.9,0.9,0.9\n", "could not convert string to float: 'high'"),
        (HEADER + b"0.1,0,,0.9,0.9,good\n", "could not convert string to float: 'good'"),
        (HEADER + b"0.1,0,,nan,0.9,0.9\n", "best_val_accuracy nan"),
        (HEADER + b"0.1,0,,0.9,inf,0.9\n", "final_val_accuracy inf"),
        (HEADER + b"0.1,0,,0.9,0.9,\xff\n", "'utf-8' codec can't decode byte 0xff"),
        (HEADER + b"0.1,0,," + b"9" * 200_000 + b",1,1\n", "best_val_accuracy inf"),
    ],
)
def test_a_table_that_the_report_did_not_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        tolerance.of_table(Path("a.csv"))
    text = str(caught.value)
    assert text.startswith("a.csv: expected what stage report writes, got something else (")
    assert said in text
    assert text.endswith("Bring it back with git, or make it again with `dvc repro`.")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"[1]", "'list' object has no attribute"),
        (b"{}", "learning_rate"),
        (b'{"learning_rate": 0.1, "indistinguishable": 7}', "int"),
        (b'{"learning_rate": 0.1, "rates": 3}', "int"),
        (b'{"learning_rate": "\xff"}', "'utf-8' codec can't decode byte 0xff"),
        (b"[" * 100_000, "maximum recursion depth exceeded"),
    ],
)
def test_a_verdict_that_the_report_did_not_write_is_refused(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.json: expected what stage report writes, got .* \(") as caught:
        tolerance.of_verdict(tmp_path / "a.json")
    assert said in str(caught.value)


def test_tables_are_compared_row_by_row(table: Table) -> None:
    before = table(b"0.1,0,,0.5,0.5,0.5\n0.1,1,,0.5,0.5,0.5\n")
    after = table(b"0.1,0,,0.5,0.5,0.5\n0.1,1,,0.5,0.75,0.625\n")
    fewer = table(b"0.1,0,,0.5,0.5,0.5\n")

    assert tolerance.gaps(before, after, 0.25) == (0.25, [])
    assert tolerance.gaps(before, after, 0.125) == (
        0.25,
        ["lr-0.1/seed-1 final_val_accuracy: 0.5000 before, 0.7500 in the rerun"],
    )
    for sides in ((before, fewer), (fewer, before)):
        assert tolerance.gaps(*sides, 1)[0] == math.inf
    assert list(table(b"1e-05,2,,1,1,1\n")) == [f"lr-1e-05/seed-2 {name}" for name in tolerance.COLUMNS]


def test_the_accuracies_of_a_verdict_are_compared(tmp_path: Path) -> None:
    def verdict(test: float | None, mean: float) -> tolerance.Accuracies:
        rate = {"test_accuracy": test, "validation_accuracy": {"mean": mean, "low": 0.1}}
        text = json.dumps({"learning_rate": 0.1, "indistinguishable": [0.01], "rates": {"lr-0.1": rate}})
        (tmp_path / "verdict.json").write_text(text)
        accuracies, best = tolerance.of_verdict(tmp_path / "verdict.json")
        assert best == {0.1, 0.01}
        return accuracies

    assert tolerance.gaps(verdict(0.5, 0.5), verdict(0.5, 0.75), 0.25) == (0.25, [])
    assert tolerance.gaps(verdict(0.75, 0.5), verdict(0.5, 0.5), 0.125)[1] == [
        "lr-0.1 test_accuracy: 0.7500 before, 0.5000 in the rerun"
    ]
    assert tolerance.gaps(verdict(0.5, 0.75), verdict(0.5, 0.5), 0.125)[1] == [
        "lr-0.1 validation_accuracy.mean: 0.7500 before, 0.5000 in the rerun"
    ]
    assert tolerance.gaps(verdict(None, 0.5), verdict(0.5, 0.5), 1)[1] == [
        f"lr-0.1 test_accuracy: {NONE} before, 0.5000 in the rerun"
    ]


# --- what DVC's cache has


@pytest.mark.parametrize("name", ["in", "../out", "/out", "in/../../out"])
def test_a_listing_that_names_what_lies_outside_is_not_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "part").write_text("1")
    part = hashes.md5(tmp_path / "part")
    (tmp_path / "listing").write_text(json.dumps([{"md5": part, "relpath": name}]))
    md5 = hashes.md5(tmp_path / "listing")
    for source, kept in (("part", f"{part[:2]}/{part[2:]}"), ("listing", f"{md5[:2]}/{md5[2:]}.dir")):
        (tmp_path / kept).parent.mkdir()
        shutil.copyfile(tmp_path / source, tmp_path / kept)

    recorded = hashes.find("gone", f"{md5}.dir", [tmp_path / "nowhere"], tmp_path)

    assert (recorded is not None) == (name == "in")


# --- environment.json


def test_an_output_is_its_makers_and_nobody_s_where_that_is_unknown() -> None:
    here, there = {"processor": "one"}, {"processor": "other"}
    lock = {"a": StageHashes({}, {"here": "1", "there": "2", "restored": "3"})}
    makers = {"there": there, "restored": None}
    nothing = {"environments": {}, "outputs": {}}
    first = environments.advance(nothing, lock, here, makers)
    known = environments.advance(environments.advance(nothing, lock, there), lock, here, makers)

    assert [environments.facts(first, path) for path in lock["a"].outs] == [here, there, {}]
    assert [environments.facts(known, path) for path in lock["a"].outs] == [there, there, there]


def test_the_record_keeps_what_it_knows_and_forgets_what_is_gone() -> None:
    here, there = {"processor": "one"}, {"processor": "other"}
    nothing = {"environments": {}, "outputs": {}}
    first = environments.advance(nothing, {"a": StageHashes({}, {"a": "1", "b": "2"})}, here)
    second = environments.advance(first, {"a": StageHashes({}, {"a": "1", "b": "3", "c": "4"})}, there)
    third = environments.advance(second, {"a": StageHashes({}, {"b": "3"})}, here)

    assert [environments.facts(second, path) for path in ("a", "b", "c", "gone")] == [here, there, there, {}]
    assert list(third["environments"].values()) == [there]
    assert list(third["outputs"]) == ["b"]
    assert environments.changed_facts([here, there], {"processor": "one", "cores": "2"}) == [
        "cores: none then, 2 now",
        "processor: other then, one now",
    ]


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"environments": {}, "outputs": {"a": {"environment": "x"}}}', "{"]
)
def test_a_damaged_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / environments.FILE).write_text(content)

    with pytest.raises(DataError, match=r"environment\.json: expected "):
        environments.read(tmp_path / environments.FILE)
