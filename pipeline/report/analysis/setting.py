"""What a study is about and how its runs were made: what every number of the report rests on."""

from typing import NamedTuple

from pipeline.core import runs as run_folders
from pipeline.core.task import Task
from pipeline.params import Params


class Setting(NamedTuple):
    """The data that were studied, and params.yaml."""

    task: Task
    params: Params

    @property
    def chosen_on(self) -> str:
        """Name the part that runs are judged by: `validation`, or `test` where nothing is held out."""
        return run_folders.held_out_part(self.params.data.validation_size)

    @property
    def criterion(self) -> str:
        """Name the epoch whose network a run keeps, and is judged by: `train.keep` of params.yaml."""
        return self.params.train.keep

    @property
    def resolution(self) -> float:
        """Give the step in which the criterion can change: one example."""
        return 1 / self.task.sizes[self.chosen_on]
