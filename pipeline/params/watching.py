"""Whether what a stage reads is still what it has read."""

import os
from collections.abc import Callable
from typing import Any

from pipeline.core import run_keys
from pipeline.core.errors import ChangedError
from pipeline.params import reading


def watch(stage: str = "") -> Callable[[], None]:
    """Note code and parameters of a stage, by default the one that DVC runs; what is returned checks them.

    It raises ChangedError after an edit.

    DVC looks at a stage's inputs when it has ended: dvc.lock would say that the outputs come from the edit.
    Data that other stages write are not looked at: DVC keeps its own stages apart.
    """
    name = stage or os.environ.get("DVC_STAGE", "").partition("@")[0]
    if not name:
        return lambda: None

    def look() -> dict[str, Any]:
        inputs = run_keys.inputs(reading.load().values(), stage=name, written=False)
        return {**inputs["files"], **inputs["params"]}

    before = look()

    def check() -> None:
        now = look()
        edited = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
        if edited:
            raise ChangedError(
                f"{', '.join(edited)}: expected no edit while stage {name} ran, got one. What it made is "
                "not kept: the same command runs it again, with what is there then."
            )

    return check
