"""Numbers and lists in words."""

import numpy as np
import pytest

from pipeline.params.optimizers import Sgd
from pipeline.report.text import wording
from tests.report.samples import NAN, SETTING, TASK


def test_how_epochs_to_an_accuracy_read() -> None:
    for epochs, said in (
        ([3, 4, 5], "4 (3–5)"),
        ([3, 3], "3"),
        ([NAN, 12, 14], "14 (12–never)"),
        ([NAN, NAN, 12], "never (12–never)"),
    ):
        assert wording.reach(np.array(epochs, float), 20) == said
    assert wording.reach(np.array([NAN]), 20) == "not in 20"


def test_what_was_trained_on_what() -> None:
    params = SETTING.params
    update = {
        "network": params.network.model_copy(
            update={"file": "own.py", "values": {"norm": True, "sizes": [2, 3]}}
        ),
        "optimizer": Sgd(name="sgd", momentum=0.9),
        "schedule": params.schedule.model_copy(update={"name": "linear", "warmup": 0.1}),
    }
    task = TASK._replace(shape=(30,), classes=("a", "b"))

    assert wording.facts(SETTING._replace(task=task, params=params.model_copy(update=update))) == {
        "input_shape": "30",
        "classes": 2,
        "network": "own.py (norm: true, sizes: [2, 3])",
        "optimizer": "sgd (momentum: 0.9)",
        "schedule": "linear (warmup: 0.1)",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (wording.rate(3e-05), "0.00003"),
        (wording.rate(1.0), "1.0"),
        (wording.percent(0.98421), "98.42 %"),
        (wording.percent(NAN), "–"),
        (wording.share(0.004), "0.4 %"),
        (wording.share(0.07), "7 %"),
        (wording.points(-0.0039), "−0.39"),
        (wording.points(0.00001), "0.00"),
        (wording.p_value(0.0004), "< 0.001"),
        (wording.listed(["a", "b", "c"]), "a, b and c"),
        (wording.listed([]), ""),
        (wording.counted(1, "seed"), "1 seed"),
    ],
)
def test_numbers_and_lists_in_words(text: str, expected: str) -> None:
    assert text == expected
