"""The parts of `verify` that compute: dvc.lock, the draw, what DVC says, differences, what the cache has."""

import json
from pathlib import Path

import pytest

from pipeline.core.errors import DataError
from pipeline.verify import changes, clone, differences, lockfile
from pipeline.verify.command import draw_runs
from pipeline.verify.lockfile import StageHashes


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


def test_a_status_that_nobody_foresaw_is_not_passed_over() -> None:
    lock = {"scale": StageHashes({}, {"data/scaled": "a"})}
    status = {"scale": ["changed checksum", {"changed deps": {"gone.py": "deleted"}}]}

    assert changes.since(lock, status, "deleted", ".") == [
        "The checksum in dvc.yaml changed since scale ran.",
        "gone.py changed (deleted) since scale ran.",
    ]


def test_what_changed_for_several_stages_is_said_once_and_a_stage_that_is_new_claims_nothing() -> None:
    status = {
        "train@new": ["changed command"],
        "scale": [{"changed deps": {"params.yaml": {"data.dataset": "modified"}}}],
        "report": [{"changed deps": {"params.yaml": {"data.dataset": "modified"}}}],
    }
    lock = {"scale": StageHashes({}, {"data/scaled": "a"}), "report": StageHashes({}, {"report": "b"})}

    assert changes.since(lock, status, "deleted", ".") == [
        "params.yaml, key data.dataset, changed (modified) since scale, report ran.",
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

    assert changes.since(lock, status, changes.ABSENT_IN_CLONE, ".") == [
        "report/summary.md changed (modified) since report ran."
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

    assert differences.file_changes(*(clone.files_of(tmp_path / side) for side in ("before", "after"))) == [
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


def test_runs_of_another_arithmetic_are_not_compared_number_by_number(tmp_path: Path) -> None:
    for side, arithmetic in (("before", "NVIDIA H100, 2 threads"), ("after", "portable")):
        (tmp_path / side).mkdir()
        metrics = {"arithmetic": arithmetic, "best": {"val_loss": len(side)}}
        (tmp_path / side / "metrics.json").write_text(json.dumps(metrics))

    assert differences.file_changes(*(clone.files_of(tmp_path / side) for side in ("before", "after"))) == [
        "metrics.json: arithmetic NVIDIA H100, 2 threads before, portable in the rerun: their bits cannot be "
        "compared; verify it where it was made"
    ]


# --- what DVC's cache has


def keep(cache: Path, md5: str, content: str) -> None:
    (cache / md5[:2]).mkdir(parents=True)
    (cache / md5[:2] / md5[2:]).write_text(content)


@pytest.mark.parametrize("name", ["in", "in/deep", "../out", "/out", "in/../../out"])
def test_a_listing_that_names_what_lies_outside_is_not_followed(tmp_path: Path, name: str) -> None:
    keep(tmp_path, "0123", "1")
    keep(tmp_path, "4567.dir", json.dumps([{"md5": "0123", "relpath": name}]))

    recorded = clone.find("gone", "4567.dir", tmp_path / "nowhere", tmp_path)

    assert recorded == ({name: tmp_path / "01/23"} if name in {"in", "in/deep"} else None)


@pytest.mark.parametrize("listing", ["", "{", "7", "[7]", "[{}]", '[{"md5": "89ab", "relpath": "a"}]'])
def test_what_the_cache_lacks_or_has_in_pieces_comes_from_the_folder(tmp_path: Path, listing: str) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/a").write_text("1")
    keep(tmp_path, "4567.dir", listing)

    assert clone.find("runs", "4567.dir", tmp_path, tmp_path) == {"a": tmp_path / "runs/a"}
    assert clone.find("runs", "cdef.dir", tmp_path, tmp_path) == {"a": tmp_path / "runs/a"}
    assert clone.find("gone", "cdef.dir", tmp_path, tmp_path) is None
