"""The parts of `verify` that compute: hashes, dvc.lock, the draw, differences, the record of environments."""

import json
from pathlib import Path

import pytest

from pipeline.core.errors import DataError
from pipeline.verify import comparison, environments, folders, hashes, locks, originals, staleness, tolerance
from pipeline.verify.locks import Stage


def test_what_a_killed_training_left_is_no_part_of_the_runs(tmp_path: Path) -> None:
    """DVC hides it by .dvcignore, so that the hash of `runs` stays that of the runs."""
    (tmp_path / "lr-0.1" / "seed-0").mkdir(parents=True)
    (tmp_path / "lr-0.1" / "seed-0" / "history.csv").write_text("1")
    before = hashes.md5(tmp_path)
    (tmp_path / "lr-0.1" / ".seed-0-0a1b2c3d").mkdir()
    (tmp_path / "lr-0.1" / ".seed-0-0a1b2c3d" / "history.csv").write_text("2")
    assert hashes.md5(tmp_path) == before


def test_a_folders_hash_is_that_of_its_listing(tmp_path: Path) -> None:
    """What DVC 3 writes for the two files; tests/verify/test_verify.py compares with DVC itself."""
    (tmp_path / "two").write_text("2")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "one").write_text("1")

    one, two = "c4ca4238a0b923820dcc509a6f75849b", "c81e728d9d4c2f636f067f89cc14862c"
    assert hashes.md5(tmp_path / "two") == two
    assert hashes.contents(tmp_path) == {"inner/one": one, "two": two}
    assert hashes.md5(tmp_path) == hashes.of_folder({"two": two, "inner/one": one})
    assert hashes.md5(tmp_path) == "71d42796a3d81ababe907b7466463e3e.dir"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "stages: [1]",
        "stages: {a: {outs: [{path: b}]}}",
        "{",
        "stages: {a: 1}",
        "- 1",
        "stages: {a: {outs: 1}}",
    ],
)
def test_what_is_no_lock_is_told(text: str) -> None:
    with pytest.raises(
        DataError, match=r"^old\.lock: expected what DVC writes, got something else \(.+\)\. Bring it"
    ):
        locks.parse(text, "old.lock")


def test_a_lock_that_is_none_is_called_dvc_lock_and_the_problem_is_named() -> None:
    with pytest.raises(DataError, match=r"^dvc\.lock: .* got something else \('md5'\)"):
        locks.parse("stages: {a: {outs: [{path: b}]}}")


def test_a_lock_is_read_as_hashes_by_path() -> None:
    text = (
        "schema: '2.0'\nstages:\n  a:\n    cmd: x\n    deps:\n    - path: in\n      md5: '1'\n"
        "    outs:\n    - path: out\n      md5: 2.dir\n      size: 3\n  b:\n    cmd: y\n"
    )
    assert locks.parse(text) == {"a": Stage({"in": "1"}, {"out": "2.dir"}), "b": Stage({}, {})}


def test_stages_that_differ_between_two_locks() -> None:
    one, other = Stage({}, {"a": "1"}), Stage({}, {"a": "2"})

    assert locks.differences(
        {"same": one, "new": one, "gone": one}, {"same": one, "new": other, "more": one}
    ) == [
        "new",
        "gone",
        "more",
    ]


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
    assert locks.listed(names) == said


def test_the_draw_depends_on_the_commit_alone() -> None:
    names = [f"train@{rate}-{seed}" for rate in (0.1, 0.01) for seed in range(5)]
    drawn = [tuple(locks.choose(f"{number:040x}", names, 2)) for number in range(400)]

    assert drawn == [tuple(locks.choose(f"{number:040x}", reversed(names), 2)[::-1]) for number in range(400)]
    assert all(list(pair) == [name for name in names if name in pair] for pair in drawn)
    counts = {name: sum(name in pair for pair in drawn) for name in names}
    assert min(counts.values()) > 50  # of 80 expected: every run comes up
    assert locks.choose("a", names, 99) == names
    assert locks.choose("a", names, 0) == []


def test_contradictions_name_both_sides() -> None:
    lock = {
        "scale": Stage({}, {"data/scaled": "a.dir"}),
        "one": Stage({"data/scaled": "b.dir", "code.py": "c"}, {}),
        "two": Stage({"data/scaled": "b.dir"}, {}),
        "three": Stage({"data/scaled": "b.dir"}, {}),
        "right": Stage({"data/scaled": "a.dir"}, {}),
    }

    assert locks.contradictions(lock) == [
        "dvc.lock contradicts itself: one, two and 1 more used data/scaled with the MD5 b.dir, "
        "but scale made it with a.dir."
    ]


def test_a_status_that_nobody_foresaw_is_not_passed_over() -> None:
    lock = {"scale": Stage({}, {"data/scaled": "a"})}
    status = {"scale": ["changed checksum", {"changed deps": {"gone.py": "deleted"}}]}

    assert staleness.find(["scale"], status, lock) == [
        "The checksum in dvc.yaml changed since scale ran: dvc.lock does not follow from it.",
        "gone.py changed (deleted) since scale ran: dvc.lock does not follow from it.",
    ]


def test_a_stage_that_is_new_is_told_once_and_the_others_are_looked_at_all_the_same() -> None:
    status = {
        "train@new": ["changed command"],
        "scale": [{"changed deps": {"params.yaml": {"data.dataset": "modified"}}}],
        "report": [{"changed deps": {"params.yaml": {"data.dataset": "modified"}}}],
    }
    lock = {"scale": Stage({}, {"data/scaled": "a"}), "report": Stage({}, {"report": "b"})}

    assert staleness.find(["train@new", "scale", "report"], status, lock) == [
        "dvc.lock does not know train@new, which params.yaml asks for.",
        "params.yaml, key data.dataset, changed (modified) since scale, report ran: "
        "dvc.lock does not follow from it.",
    ]


def test_of_outputs_only_those_that_git_holds_can_have_changed_in_a_clean_copy() -> None:
    lock = {"train": Stage({}, {"runs/lr-0.1": "a"}), "scale": Stage({}, {"data/scaled": "b"})}
    status = {
        "report": [
            {
                "changed deps": {"runs": "deleted", "data/scaled": "deleted"},
                "changed outs": {"report/figures": "not in cache", "report/summary.md": "modified"},
            }
        ]
    }

    assert staleness.find([], status, lock) == [
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
def test_the_first_epoch_that_differs_and_by_how_much(after: str, said: str) -> None:
    assert originals.first_difference(HISTORY, after) == said


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

    assert originals.explain(originals.files(tmp_path / "before"), originals.files(tmp_path / "after")) == [
        "broken.json: differs, and one of the two is no JSON",
        "form.json: differs in its form",
        "gone: missing in the rerun",
        "many.json: "
        + ", ".join(f"in.{key} 1 before, 2 in the rerun (+1)" for key in "abcd")
        + " and 2 more",
        "model.keras: differs (2 bytes before, 3 in the rerun)",
        "new: new in the rerun",
    ]


def test_accuracies_are_compared_and_divergence_counts() -> None:
    row = dict.fromkeys(tolerance.MEASURES, "0.9") | {"diverged_epoch": ""}
    metrics = {section: {key: 0.905} for section, key in tolerance.MEASURES.values()}
    metrics["best"]["val_accuracy"] = 0.9
    metrics["final"]["val_accuracy"] = 0.905

    assert tolerance.compare(row, metrics, 0.01) == (pytest.approx(0.005), [])
    assert tolerance.compare(row, metrics, 0.001)[1] == [
        "final_val_accuracy: 0.9000 before, 0.9050 in the rerun",
        "test_accuracy: 0.9000 before, 0.9050 in the rerun",
    ]
    assert tolerance.compare(None, metrics, 1)[1] == ["report/comparison.csv of the commit has no row for it"]
    assert tolerance.compare(row | {"diverged_epoch": "3"}, metrics, 1)[1] == [
        "it diverged in one of the two trainings and not in the other"
    ]
    diverged = dict.fromkeys(tolerance.MEASURES, "") | {"diverged_epoch": "3"}
    assert tolerance.compare(diverged, {"diverged_epoch": 2}, 0.01) == (0, [])
    assert tolerance.compare(row, metrics | {"test": {"accuracy": None}}, 1)[1] == [
        "test_accuracy: 0.9000 before, nan in the rerun"
    ]


def test_a_measure_that_only_the_rerun_has_hides_no_other_and_the_tolerance_itself_passes() -> None:
    row = {"best_val_accuracy": "", "diverged_epoch": ""}
    row |= {"final_val_accuracy": "0.5", "test_accuracy": "0.75"}
    metrics = {"best": {"val_accuracy": 0.9}, "final": {"val_accuracy": 0.75}, "test": {"accuracy": 0.875}}

    assert tolerance.compare(row, metrics, 0.25) == (0.25, [])
    assert tolerance.compare(row, metrics, 0.2) == (
        0.25,
        ["final_val_accuracy: 0.5000 before, 0.7500 in the rerun"],
    )


HEADER = b"learning_rate,seed,diverged_epoch,best_val_accuracy,final_val_accuracy,test_accuracy\n"


def test_the_rows_of_a_comparison_are_found_by_rate_and_seed() -> None:
    found = tolerance.rows(HEADER + b"0.001,0,,0.9,0.8,0.7\n1e-05,2,3,,,\n", "a.csv")

    assert list(found) == [(0.001, 0), (0.00001, 2)]
    assert found[0.001, 0]["test_accuracy"] == "0.7"
    assert found[0.00001, 2]["test_accuracy"] == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no row"),
        (HEADER, "no row"),
        (b"learning_rate,seed\n0.1,0\n", "a row without diverged_epoch, best_val_accuracy, final_val_ac"),
        (HEADER + b"0.1,0\n", "a row without diverged_epoch"),
        (HEADER + b"0.1,zero,,0.9,0.9,0.9\n", "invalid literal for int"),
        (HEADER + b"high,0,,0.9,0.9,0.9\n", "could not convert string to float: 'high'"),
        (HEADER + b"0.1,0,,0.9,0.9,good\n", "could not convert string to float: 'good'"),
        (HEADER + b"0.1,0,,nan,0.9,0.9\n", "best_val_accuracy nan"),
        (HEADER + b"0.1,0,inf,0.9,0.9,0.9\n", "diverged_epoch inf"),
        (HEADER + b"0.1,0,,0.9,0.9,\xff\n", "'utf-8' codec can't decode byte 0xff"),
        (HEADER + b"0.1,0,," + b"9" * 200_000 + b",1,1\n", "field larger than field limit"),
    ],
)
def test_what_is_no_comparison_is_told(content: bytes, said: str) -> None:
    with pytest.raises(DataError) as caught:
        tolerance.rows(content, "a.csv")
    text = str(caught.value)
    assert text.startswith(
        "a.csv: expected a row per run with its rate, seed and accuracies, as stage report"
    )
    assert f"got something else ({said}" in text
    assert text.endswith("Bring it back with git, or make it again with `dvc repro`.")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"[1]", "no learning_rate"),
        (b"{}", "no learning_rate"),
        (b'{"learning_rate": 0.1, "indistinguishable": 7}', "indistinguishable 7"),
        (b'{"learning_rate": "\xff"}', "'utf-8' codec can't decode byte 0xff"),
        (b"[" * 100_000, "maximum recursion depth exceeded"),
    ],
)
def test_what_is_no_verdict_is_told(content: bytes, said: str) -> None:
    with pytest.raises(DataError) as caught:
        tolerance.verdict(content, "a.json")
    assert str(caught.value).startswith("a.json: expected a verdict with its learning_rate, as stage report")
    assert f"got something else ({said}" in str(caught.value)


def test_tables_are_compared_row_by_row() -> None:
    before = tolerance.rows(HEADER + b"0.1,0,,0.5,0.5,0.5\n0.1,1,,0.5,0.5,0.5\n", "a")
    after = tolerance.rows(HEADER + b"0.1,0,,0.5,0.5,0.5\n0.1,1,,0.5,0.75,0.625\n", "b")
    fewer = {key: row for key, row in after.items() if key == (0.1, 0)}

    assert tolerance.compare_tables(before, after, 0.25) == (0.25, [])
    assert tolerance.compare_tables(before, after, 0.125) == (
        0.25,
        ["learning rate 0.1, seed 1: final_val_accuracy: 0.5000 before, 0.7500 in the rerun"],
    )
    assert tolerance.compare_tables(before, fewer, 1)[1] == ["its rows are of other runs"]


def test_the_same_choice_or_one_that_could_not_be_told_from_it() -> None:
    before = {"learning_rate": 0.001, "indistinguishable": [0.001, 0.0001]}

    assert tolerance.compare_verdicts(before, {"learning_rate": 0.0001}, 0) == (0, [])
    assert tolerance.compare_verdicts(before, {"learning_rate": 0.01}, 1)[1] == [
        "learning_rate: 0.001 before, 0.01 in the rerun, which could be told from it"
    ]


def test_the_accuracies_of_a_verdict_are_compared() -> None:
    def verdict(test: float | None, mean: float) -> dict[str, object]:
        rate = {"test_accuracy": test, "validation_accuracy": {"mean": mean, "low": 0.1}}
        return {"learning_rate": 0.1, "rates": {"lr-0.1": rate}}

    assert tolerance.compare_verdicts(verdict(0.5, 0.5), verdict(0.5, 0.75), 0.25) == (0.25, [])
    assert tolerance.compare_verdicts(verdict(0.75, 0.5), verdict(0.5, 0.5), 0.125)[1] == [
        "lr-0.1.test_accuracy: 0.7500 before, 0.5000 in the rerun"
    ]
    assert tolerance.compare_verdicts(verdict(0.5, 0.75), verdict(0.5, 0.5), 0.125)[1] == [
        "lr-0.1.validation_accuracy.mean: 0.7500 before, 0.5000 in the rerun"
    ]
    assert tolerance.compare_verdicts(verdict(None, 0.5), verdict(0.5, 0.5), 0) == (0, [])
    assert tolerance.compare_verdicts({"learning_rate": 0.1, "rates": 3}, verdict(0.5, 0.5), 0) == (0, [])


# --- folders that several stages fill

ONE, TWO, OLD = {"h": "1"}, {"h": "2", "in/m": "3"}, {"h": "4"}
PARTS = {"runs/a": hashes.of_folder(ONE), "runs/b": hashes.of_folder(TWO)}
LEFT = {"runs/old": hashes.of_folder(OLD)}
HELD = {"runs/.gitignore": "5"}
KNOWN = {hashes.of_folder(files): files for files in (ONE, TWO, OLD)}
WHOLE = {"a/h": "1", "b/h": "2", "b/in/m": "3", ".gitignore": "5"}


@pytest.mark.parametrize(
    ("holds", "left", "forgotten", "told"),
    [
        (WHOLE, {}, {}, ""),
        (WHOLE, LEFT, {}, ""),
        (WHOLE | {"old/h": "4"}, LEFT, {}, ""),
        (WHOLE | {"old/h": "4"}, {}, {}, "contradicts itself: report used runs"),
        (WHOLE | {"b/h": "9"}, {}, {}, "contradicts itself: report used runs"),
        (WHOLE | {"b/h": "9"}, LEFT, {}, "contradicts itself: report used runs"),
        (WHOLE | {"more": "9"}, {}, {}, "contradicts itself: report used runs"),
        (WHOLE, {}, PARTS, "says what is in runs/a, runs/b. `dvc pull`"),
        (WHOLE, LEFT, LEFT, ""),
        (WHOLE | {"old/h": "4"}, LEFT, LEFT, "says what is in runs/old. `dvc pull`"),
    ],
)
def test_a_folder_is_what_its_parts_are(
    holds: dict[str, str], left: dict[str, str], forgotten: dict[str, str], told: str
) -> None:
    folder = folders.Folder("report", "runs", hashes.of_folder(holds), PARTS, left, HELD)

    problems, unknown = folders.check(
        folder, lambda _, md5: None if md5 in forgotten.values() else KNOWN.get(md5)
    )

    assert told in "".join(problems + unknown)
    assert len(problems) == ("contradicts" in told)
    assert len(unknown) == ("says" in told)


def test_a_part_that_is_a_file_counts_as_itself() -> None:
    folder = folders.Folder("b", "x", hashes.of_folder({"f": "1"}), {"x/f": "1"}, {}, {})
    assert folders.check(folder, lambda *_: None) == ([], [])


@pytest.mark.parametrize("name", ["../out", "/out", "in/../../out"])
def test_a_listing_that_names_what_lies_outside_is_none(tmp_path: Path, name: str) -> None:
    content = json.dumps([{"md5": "1", "relpath": name}]).encode()
    (tmp_path / "listing").write_bytes(content)
    md5 = hashes.of_file(tmp_path / "listing")
    kept = tmp_path / "files" / "md5" / md5[:2] / f"{md5[2:]}.dir"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content)

    assert originals.listing(tmp_path / "gone", f"{md5}.dir", tmp_path) is None


def test_a_stage_ran_on_what_the_lock_names_or_not() -> None:
    before = {"train": Stage({}, {"runs/a": "1"}), "report": Stage({"runs": "2", "code.py": "3"}, {})}

    assert comparison.exact(before, before, "report")
    assert comparison.exact(before, {"report": before["report"]}, "report")  # laid there as recorded
    assert not comparison.exact(before, before | {"train": Stage({}, {"runs/a": "9"})}, "report")
    assert comparison.exact(before, before | {"train": Stage({}, {"runs/a": "9"})}, "train")


# --- environment.json


def test_an_output_is_its_makers_and_nobody_s_where_that_is_unknown() -> None:
    here, there = {"processor": "one"}, {"processor": "other"}
    lock = {"a": Stage({}, {"here": "1", "there": "2", "restored": "3"})}
    makers = {"there": there, "restored": None}
    nothing = {"environments": {}, "outputs": {}}
    first = environments.advance(nothing, lock, here, makers)
    known = environments.advance(environments.advance(nothing, lock, there), lock, here, makers)

    found = [environments.recorded(first, {path: md5}) for path, md5 in lock["a"].outs.items()]
    assert found == [[here], [there], []]
    assert environments.recorded(known, lock["a"].outs) == [there]


def test_the_record_keeps_what_it_knows_and_forgets_what_is_gone() -> None:
    here, there = {"processor": "one"}, {"processor": "other"}
    nothing = {"environments": {}, "outputs": {}}
    first = environments.advance(nothing, {"a": Stage({}, {"a": "1", "b": "2"})}, here)
    second = environments.advance(first, {"a": Stage({}, {"a": "1", "b": "3", "c": "4"})}, there)
    third = environments.advance(second, {"a": Stage({}, {"b": "3"})}, here)

    assert environments.recorded(second, {"a": "1"}) == [here]
    assert environments.recorded(second, {"b": "3", "c": "4"}) == [there]
    assert environments.recorded(second, {"a": "another hash", "gone": "1"}) == []
    assert list(third["environments"].values()) == [there]
    assert list(third["outputs"]) == ["b"]
    assert environments.compare([here, there], {"processor": "one", "cores": "2"}) == [
        "cores: none then, 2 now",
        "processor: other then, one now",
    ]


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"environments": {}, "outputs": {"a": {"environment": "x"}}}', "{"]
)
def test_a_damaged_record_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / environments.FILE).write_text(content)

    with pytest.raises(DataError, match=r"environment\.json: expected "):
        environments.read(tmp_path / environments.FILE)
