"""The data that runs are trained on, as MLflow names them; light, since it travels to a sweep's workers."""

import json
from pathlib import Path
from typing import NamedTuple

from pipeline.core import files, run_keys
from pipeline.core import task as tasks
from pipeline.core.datasets import DATASETS
from pipeline.core.task import Task

SCALED = Path("data/scaled")


class Data(NamedTuple):
    """What the runs of a study are trained on.

    Attributes:
        sha256: of the published files, by name; of one's own data, that of the scaled arrays' folder.
    """

    task: Task
    sha256: dict[str, str]

    @property
    def title(self) -> str:
        """Name the data set as its publishers do."""
        name = self.task.dataset
        return DATASETS[name].title if name in DATASETS else f"{name} data"

    def tags(self) -> dict[str, str]:
        return {"dataset": self.task.dataset} | {f"sha256.{name}": sha for name, sha in self.sha256.items()}

    def dataset(self) -> dict[str, str]:
        """Give the arguments of MLflow's `Dataset`."""
        facts = {"shape": self.task.shape, "classes": self.task.classes}
        return {
            "name": self.task.dataset,
            "digest": run_keys.digest(self.sha256)[:32],  # 36 at most
            "source_type": "code",
            "source": json.dumps({"tags": {"sha256": self.sha256}}),
            "profile": json.dumps(self.task.sizes | facts),
        }


def read(scaled: Path = SCALED, sha256: str = "") -> Data:
    """Read what stage `scale` found out; `sha256` is the folder's, if it is known already.

    Raises:
        DataError: it is missing or damaged.
    """
    task = tasks.read(scaled)
    if task.dataset in DATASETS:
        return Data(task, {file.name: file.sha256 for file in DATASETS[task.dataset].files})
    return Data(task, {scaled.name: sha256 or files.sha256(scaled)})
