"""Ray, where it is not installed or does not start."""

import pytest

from pipeline.core.errors import ToolError
from pipeline.sweep import cluster


def test_without_ray_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ToolError, match=r"expected Ray .* `make sweep` installs it"):
        cluster.require()


@pytest.mark.parametrize(
    ("address", "remedy"),
    [(None, "is too busy to start it: try again later, or use `dvc repro`"), ("auto", "Check --address")],
)
def test_a_cluster_that_does_not_come_up_is_said_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch, address: str | None, remedy: str
) -> None:
    """Ray would take its minutes to fail, and only where the machine is busy."""

    def give_up(*_: object) -> None:
        raise RuntimeError("The current node timed out during startup.")

    monkeypatch.setattr(cluster, "_start", give_up)
    with pytest.raises(ToolError, match="timed out during startup") as failed, cluster.connect(address, 0):
        pass
    assert remedy in str(failed.value)
    assert ("--address" in str(failed.value)) == (address is not None)
