"""Ray, where it is not installed."""

import pytest

from pipeline.core.errors import ToolError
from pipeline.sweep import cluster


def test_without_ray_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ToolError, match=r"expected Ray .* `make sweep` installs it"):
        cluster.require()
