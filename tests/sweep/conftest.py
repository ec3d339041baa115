"""A study that DVC keeps and nobody trains, and as much of Ray as the sweep's parts need."""

import contextlib
import math
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.sweep import driver
from pipeline.sweep.dvc_stages import Stages

FILES = {"history.csv": b"epoch\n1\n", "metrics.json": b"{}\n", "predictions.npy": b"p", "model.keras": b"m"}


@pytest.fixture(scope="module")
def made_up_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four train stages whose outputs are made up."""
    folder = tmp_path_factory.mktemp("study")
    definition = {
        "stages": {
            "data": {"cmd": "mkdir data && echo images > data/images", "outs": ["data"]},
            "train": {
                "matrix": {"learning_rate": "${rates}", "seed": [0, 1]},
                "cmd": "python -m pipeline train ${item} data runs",
                "params": ["epochs", "network"],
                "deps": ["${network.file}", "data", "code.py"],
                "outs": ["runs/lr-${item.learning_rate}/seed-${item.seed}"],
            },
            "report": {"cmd": "ls runs/*/* > report", "deps": ["runs"], "outs": ["report"]},
        }
    }
    with (folder / "dvc.yaml").open("w") as stream:
        YAML().dump(definition, stream)
    (folder / "params.yaml").write_text(
        "epochs: 5\nrates: [0.1, 1e-05]\nnetwork: {file: nets/mine.py, values: {}}\n"
    )
    (folder / "nets").mkdir()
    (folder / "nets/mine.py").write_text("network\n")
    (folder / "code.py").write_text("first\n")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    with contextlib.chdir(folder), opened() as stages:
        stages.reproduce(stages.upstream)
        commit_all(stages)
        stages.reproduce(stages.others)
    return folder


@pytest.fixture
def study(made_up_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the made-up study; the current folder."""
    folder = shutil.copytree(made_up_study, tmp_path / "study")
    monkeypatch.chdir(folder)
    return folder


def opened() -> contextlib.closing[Stages]:
    return contextlib.closing(Stages())


def commit_all(stages: Stages) -> int:
    """Write and commit outputs that say which run they are of and what code it had."""
    stale = stages.plan({}).stale
    for stage in stale:
        unique = (stage.run.name + Path("code.py").read_text()).encode()
        driver.write_run(stage.folder, FILES | {"model.keras": unique})
        stages.commit(stage)
    stages.write_lock()
    return len(stale)


def counts() -> tuple[int, int, int]:
    """Count the runs that are up to date, restorable and stale."""
    with opened() as stages:
        plan = stages.plan({})
    return len(plan.current), len(plan.restorable), len(plan.stale)


class Machines:
    """As much of Ray as says which machines there are."""

    def __init__(self, *sizes: tuple[float, float]) -> None:
        self._sizes = sizes

    def nodes(self) -> list[dict[str, object]]:
        return [{"Alive": True, "Resources": {"CPU": cpus, "GPU": gpus}} for cpus, gpus in self._sizes]


class SlowTasks(Machines):
    """As much of Ray as runs tasks: two have begun and need a while to save once they are cancelled."""

    exceptions = SimpleNamespace(
        TaskCancelledError=InterruptedError, RayTaskError=ArithmeticError, RayError=RuntimeError
    )

    def __init__(self, saving: float) -> None:
        super().__init__((2, 0))
        self._saving, self._begun = saving, list[object]()
        self._ends: dict[object, float] = {}

    def remote(self, *actor: object, **_: object) -> Any:
        if not actor:
            made = SimpleNamespace(remote=lambda *_: self._begin())
            return lambda _: SimpleNamespace(options=lambda **_: made)
        mailbox = SimpleNamespace(take=SimpleNamespace(remote=lambda: "messages"))
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda: mailbox))

    def _begin(self) -> object:
        self._begun.append(object())
        return self._begun[-1]

    def put(self, value: object) -> object:
        return value

    def cancel(self, task: object, *, force: bool) -> None:
        assert not force
        saves = task in self._begun[:2]
        self._ends[task] = time.monotonic() + (self._saving if saves else 0)

    def wait(
        self, tasks: list[object], num_returns: int = 1, timeout: float = 0.0
    ) -> tuple[list[object], list[object]]:
        if tasks == ["messages"]:
            return tasks, []
        until = time.monotonic() + timeout
        while True:
            now = time.monotonic()
            ready = [task for task in tasks if self._ends.get(task, math.inf) <= now][:num_returns]
            if len(ready) == num_returns or now >= until:
                return ready, []
            time.sleep(0.01)

    def get(self, reference: object) -> list[object] | None:
        """No message, and of a task that was stopped no outputs."""
        return [] if reference == "messages" else None
