"""The line that says how far a sweep is."""

import pytest

from pipeline.sweep.display import Display


def test_the_line_has_runs_done_running_failed_the_time_left_and_the_best(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def metrics(accuracy: float | None, rate: float) -> dict[str, object]:
        kept = {"rule": "best_epoch", "epoch": accuracy and 7}
        return {"kept": kept, "best": {"val_accuracy": accuracy}, "learning_rate": rate, "seed": 0}

    display = Display(4, 10)
    assert display.line() == "0/4 runs done, 0 running, 0 failed"
    for run in "abcd":
        display.start(run)
    display.epoch("a", 5)
    display.finish("b", metrics(0.9, 0.1))
    display.finish("c", None)
    display.finish("d", metrics(0.95, 0.01))
    line = display.line()
    assert line.startswith("2/4 runs done, 1 running, 1 failed, ")
    assert line.endswith(" left, best val_accuracy 0.9500 (rate 0.01, seed 0)")
    display.start("a")  # its worker died: it begins again
    display.finish("a", metrics(None, 1.0))
    assert display.line().startswith(
        "3/4 runs done, 0 running, 1 failed, 1 begun again after a worker died, 00:00 left"
    )
    display.close()
    assert "sweep: 3/4 runs done" in capsys.readouterr().err
