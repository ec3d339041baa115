"""`verify --tolerance`: bytes where environment.json names this kind of machine, else accuracies."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import DataError
from pipeline.verify import environments
from pipeline.verify.command import verify
from tests.verify.conftest import commit, forge, forget, made_elsewhere, recorded, replace

pytestmark = pytest.mark.hard
RUN = "runs/lr-0.01/seed-0"
NOWHERE = f"{'0' * 32}.dir"


def forget_the_record() -> None:
    content = json.loads(Path(environments.FILE).read_text())
    Path(environments.FILE).write_text(json.dumps(content | {"outputs": {}}))


KINDS = [
    (lambda: None, 1, f"{RUN}: dvc.lock says {NOWHERE}, the rerun made "),
    (
        lambda: made_elsewhere(dvc="1.0", system="Linux 1"),
        1,
        f"{RUN}: dvc.lock says {NOWHERE}, the rerun made ",
    ),
    (made_elsewhere, 0, f"verify: {RUN}: other bits, accuracies within 0\n"),
    (lambda: made_elsewhere(tensorflow="1.0"), 0, f"verify: {RUN}: other bits, accuracies within 0\n"),
    (forget_the_record, 0, f"verify: {RUN}: other bits, accuracies within 0\n"),
]


@pytest.mark.parametrize(
    ("change", "code", "said"), KINDS, ids=["same", "same for bits", "processor", "packages", "unknown"]
)
def test_a_runs_bytes_are_compared_where_its_environment_is_the_same(
    study: Path,
    capfd: pytest.CaptureFixture[str],
    change: Callable[[], None],
    code: int,
    said: str,
) -> None:
    replace(Path("dvc.lock"), recorded(RUN), NOWHERE)
    change()
    commit(study, "a hash that nothing has")
    forget()

    assert verify(4, tolerance=0.01) == code

    output = capfd.readouterr()
    assert said in output.out + output.err


REPORT = [
    (
        "report/comparison.csv",
        ",0.91,0.91,0.91\n",
        ",0.95,0.91,0.91\n",
        "lr-0.01/seed-0 best_val_accuracy: 0.9500 before, 0.9100",
    ),
    (
        "report/comparison.csv",
        ",0.91,0.91,0.91\n",
        ",0.911,0.91,0.91\n",
        "other bits, accuracies within 0.001",
    ),
    (
        "report/comparison.csv",
        "0.01,1,",
        "0.01,2,",
        "lr-0.01/seed-2 best_val_accuracy: 0.9110 before, none (it diverged, or is not there) in the rerun",
    ),
    (
        "report/verdict.json",
        ": 0.01",
        ": 0.001",
        "learning_rate: 0.01 in the rerun, which was worse before",
    ),
    ("report/index.html", "seed", "seeds", "other bits, not compared: a tolerance is one of accuracies"),
]


@pytest.mark.parametrize(("path", "old", "new", "said"), REPORT)
@pytest.mark.usefixtures("study")
def test_a_report_from_elsewhere_is_compared_by_its_accuracies(
    capfd: pytest.CaptureFixture[str], path: str, old: str, new: str, said: str
) -> None:
    made_elsewhere()
    forge(path, old, new)

    code = verify(0, tolerance=0.01)

    output = capfd.readouterr()
    assert said in output.out + output.err
    assert code == (0 if "other bits" in said else 1)
    if "not compared" in said:
        assert "byte for byte; 1 more were not compared" in output.out


@pytest.mark.usefixtures("study")
def test_a_report_from_the_same_kind_must_be_equal_even_where_no_accuracy_stands(
    capfd: pytest.CaptureFixture[str],
) -> None:
    forge("report/index.html", "seed", "seeds")

    assert verify(0, tolerance=1) == 1
    assert "report/index.html: dvc.lock says " in capfd.readouterr().err


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        (
            "report/comparison.csv",
            ",0.91,0.91,0.91\n",
            ",much,0.91,0.91\n",
            "could not convert string to float",
        ),
        ("report/verdict.json", "{", "{{", "Expecting property name"),
    ],
)
@pytest.mark.usefixtures("study")
def test_a_result_that_cannot_be_read_is_refused(path: str, old: str, new: str, said: str) -> None:
    made_elsewhere()
    forge(path, old, new)

    with pytest.raises(
        DataError, match=rf"^{path}: expected what stage report writes, got something else \(.*{said}"
    ):
        verify(0, tolerance=0.01)
