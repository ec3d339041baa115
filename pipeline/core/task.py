"""What the studied data are, as stage `scale` writes it beside the arrays and all others read it."""

import math
from pathlib import Path
from typing import NamedTuple

from pipeline.core import files
from pipeline.core.errors import damaged

FILE = "task.json"


class Scaling(NamedTuple):
    """How raw inputs become what the network sees: `(raw - mean) / deviation`, in float32.

    Attributes:
        mean, deviation: one number for all, or one for each entry of the inputs' last axis.
        levels: the raw inputs are grey levels, uint8.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    levels: bool


GREY_LEVELS = Scaling((0.0,), (255.0,), levels=True)
AS_THEY_ARE = Scaling((0.0,), (1.0,), levels=False)


class Task(NamedTuple):
    """Inputs and classes.

    Attributes:
        dataset: `data.dataset` of params.yaml.
        shape: of one input; (height, width, channels) for images, (features,) for a table.
        classes: their names, in the order of the labels.
        sizes: number of examples by part: `train`, `validation`, `test`.
    """

    dataset: str
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    scaling: Scaling
    sizes: dict[str, int]

    @property
    def example(self) -> str:
        """Name what one input is: `image` or `example`."""
        return "image" if len(self.shape) == 3 else "example"

    @property
    def blind_loss(self) -> float:
        """Give the loss, in nats, of the answer that all classes are equally likely."""
        return math.log(len(self.classes))


def write(scaled: Path, task: Task) -> None:
    files.write_json(scaled / FILE, task._asdict() | {"scaling": task.scaling._asdict()})


def read(scaled: Path) -> Task:
    """Read what stage `scale` wrote.

    Raises:
        DataError: the file is missing or damaged.
    """
    content = files.read_json(scaled / FILE)
    try:
        scaling = content["scaling"]
        return Task(
            content["dataset"],
            tuple(content["shape"]),
            tuple(content["classes"]),
            Scaling(tuple(scaling["mean"]), tuple(scaling["deviation"]), scaling["levels"]),
            content["sizes"],
        )
    except (KeyError, TypeError) as error:
        raise damaged(scaled / FILE, f"expected a task, got no {error}") from error
