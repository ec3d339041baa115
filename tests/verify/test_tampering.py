"""`verify`: each forgery that docs/verify.md lists, as somebody would do it, and what is not found."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipeline.params import reading
from pipeline.verify.command import verify
from tests.conftest import run_dvc
from tests.verify.conftest import commit, forget, recorded, replace

pytestmark = pytest.mark.hard
RUN = "runs/lr-0.01/seed-0"
NOWHERE = f"{'0' * 32}.dir"


def dvc(*arguments: str) -> None:
    done = run_dvc(Path(), *arguments)
    assert done.returncode == 0, done.stderr


def forge_verdict() -> None:
    replace(Path("report/verdict.json"), '"learning_rate": 0.01', '"learning_rate": 0.001')
    dvc("commit", "-f", "report")


def forge_run() -> None:
    replace(Path(RUN, "history.csv"), "3,0.91", "3,0.99")
    dvc("commit", "-f")


def train_again_without_the_report() -> None:
    replace(Path("train.py"), "0.9 + rate", "0.8 + rate")
    dvc("repro", "train")


def leave_a_note_among_the_runs() -> None:
    Path(".git/info/exclude").write_text("notes.txt\n")
    Path("runs/notes.txt").write_text("mine")
    dvc("repro")


def edit_a_run() -> None:
    """Size and time stay, and by these DVC knows files."""
    file = Path(RUN, "metrics.json")
    before = file.stat()
    replace(file, '"learning_rate": 0.01', '"learning_rate": 0.02')
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def edit_the_cache() -> None:
    metrics = Path(RUN, "metrics.json").read_bytes()
    (kept,) = (
        path for path in Path(".dvc/cache").rglob("*") if path.is_file() and path.read_bytes() == metrics
    )
    kept.chmod(0o644)
    kept.write_bytes(metrics.replace(b'"seed": 0', b'"seed": 1'))


def hash_of(path: str, *, last: bool = False) -> Callable[[], None]:
    """Edit the MD5 in dvc.lock where the path stands first, or last."""

    def edit() -> None:
        head, tail = (Path("dvc.lock").read_text().rsplit if last else Path("dvc.lock").read_text().split)(
            recorded(path), 1
        )
        Path("dvc.lock").write_text(f"{head}{NOWHERE}{tail}")

    return edit


class Forgery(NamedTuple):
    """What was done, what nobody has any more of runs and data, with what options, and what is said."""

    done: Callable[[], None]
    gone: dict[str, bool] | None
    options: dict[str, Any]
    said: str


CACHED: dict[str, bool] = {"folder": True, "cache": False}
HERE: dict[str, bool] = {"folder": False, "cache": True}
GONE: dict[str, bool] = {"folder": True, "cache": True}
EVERY: dict[str, Any] = {"all": True}
VERDICT = r"report/verdict\.json: dvc\.lock says .+"
CHOICE = VERDICT + r"\n    verdict\.json: learning_rate 0\.001 before, 0\.01 in the rerun \(\+0\.009\)"
TABLE = r"report/comparison\.csv: dvc\.lock says .+"
RUNS = rf"runs: dvc\.lock says {NOWHERE} \(report\), the rerun made "
THIS_RUN = rf"{RUN}: dvc\.lock says .+, the rerun made .+\.\n    "
SCALED = rf"data/scaled: dvc\.lock says {NOWHERE} "

FOUND = {
    "verdict recorded, runs here": Forgery(forge_verdict, HERE, {}, CHOICE),
    "verdict recorded, runs in the cache": Forgery(forge_verdict, CACHED, {}, CHOICE),
    "verdict recorded, runs nowhere": Forgery(forge_verdict, GONE, EVERY, CHOICE),
    "report older than its runs": Forgery(train_again_without_the_report, HERE, {}, TABLE),
    "report older than its runs, in the cache": Forgery(train_again_without_the_report, CACHED, {}, TABLE),
    "hash of all runs": Forgery(hash_of("runs"), None, {}, RUNS),
    "hash of all runs, which are nowhere": Forgery(hash_of("runs"), GONE, EVERY, RUNS),
    "hash of data": Forgery(
        hash_of("data/scaled"), None, {}, r"data/scaled changed \(modified\) since scale ran, in this folder"
    ),
    "hash of data, which are nowhere": Forgery(hash_of("data/scaled"), GONE, {}, SCALED + r"\(scale\)"),
    "hash of data in a run": Forgery(
        hash_of("data/scaled", last=True), None, {}, SCALED + r"\(train@0\.\d+-1\)"
    ),
    "output here": Forgery(
        edit_a_run, None, {}, rf"{RUN} changed \(modified\) since train@0\.01-0 ran, in this folder"
    ),
    "run recorded": Forgery(
        forge_run, None, EVERY, THIS_RUN + r"history\.csv: differs from epoch 3 on: val_"
    ),
    "hash of a run": Forgery(hash_of(RUN), None, {}, rf"{RUN} changed \(modified\) since train@0\.01-0 ran"),
    "hash of a run, which is nowhere": Forgery(hash_of(RUN), GONE, {"runs": 4}, THIS_RUN + "Neither this"),
    "file among the runs": Forgery(
        leave_a_note_among_the_runs, None, {}, r"runs: .+\n    notes\.txt: missing in the rerun\n"
    ),
    "file in the cache": Forgery(edit_the_cache, CACHED, {}, r"runs: dvc\.lock says "),
}


@pytest.mark.parametrize("kind", FOUND)
def test_a_forgery_is_found(study: Path, capfd: pytest.CaptureFixture[str], kind: str) -> None:
    forgery = FOUND[kind]
    forgery.done()
    commit(study, "forged")
    if forgery.gone:
        forget(**forgery.gone)

    assert verify(**{"runs": 0} | forgery.options) == 1
    assert re.search(rf"^  {forgery.said}", capfd.readouterr().err, re.MULTILINE)


def train_without_a_rate() -> None:
    reading.override(Path("params.yaml"), {"train.learning_rates": [0.01], "data.validation_size": 99})
    replace(Path("stage.py"), '("data/raw/two").read_text())', '("data/raw/two").read_text() + "3")')
    before = recorded("data/scaled")
    dvc("repro")
    assert before in Path("dvc.lock").read_text()  # the rate's entries stay as they were


MISSING = (
    r"the report, since it needs runs/lr-0\.01/seed-0, runs/lr-0\.01/seed-1 and 2 more, which neither this"
)

NOT_FOUND = {
    "a run that is not drawn": Forgery(forge_run, None, {}, ""),
    "a report without its runs": Forgery(forge_verdict, GONE, {}, f"not checked: {MISSING}"),
    # No forgery: DVC counts the runs of a rate that was taken out, as long as they lie there.
    "a rate taken out": Forgery(train_without_a_rate, None, {}, "not checked: the hash of runs: "),
    "a rate taken out, all again": Forgery(
        train_without_a_rate, None, EVERY, "not checked: the hash of runs: "
    ),
}


@pytest.mark.parametrize("kind", NOT_FOUND)
def test_what_is_not_found_is_said(study: Path, capfd: pytest.CaptureFixture[str], kind: str) -> None:
    forgery = NOT_FOUND[kind]
    forgery.done()
    if kind == "a run that is not drawn":
        dvc("repro")
    commit(study, "forged")
    if forgery.gone:
        forget(**forgery.gone)

    assert verify(**{"runs": 0} | forgery.options) == 0, capfd.readouterr().err
    said = capfd.readouterr().out
    assert re.search(rf"^verify: {forgery.said}", said, re.MULTILINE)
    assert ("not checked" in said) == ("not checked" in forgery.said)
