"""The chart of a run that MLflow keeps: it can be drawn of any history."""

from pathlib import Path

import pytest

from pipeline.tracking import chart
from tests.report.conftest import history

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "losses",
    [[0.5, 0.3], [0.5], [0.5, NAN], [INF, NAN], [NAN], [15.0, 0.4, 0.3], [0.0, 0.0]],
    ids=["two epochs", "one epoch", "diverged", "infinite", "nothing", "towering", "zero"],
)
def test_every_history_has_a_chart(tmp_path: Path, losses: list[float]) -> None:
    chart.draw(tmp_path / "chart.png", history(losses, losses), "lr-0.1 seed-0")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
