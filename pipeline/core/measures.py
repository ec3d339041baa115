"""What each epoch of a run yields: the columns of history.csv, MLflow's metrics and the page's charts."""

from typing import NamedTuple


class Measure(NamedTuple):
    """A value per epoch; docs/training.md defines each.

    Attributes:
        name: its column in history.csv and its metric in MLflow.
        label: its name on the page; {} stands for what is held out.
        log: whether the page draws it on a logarithmic axis.
    """

    name: str
    label: str
    log: bool


MEASURES = (
    Measure("loss", "training loss", log=True),
    Measure("accuracy", "training accuracy", log=False),
    Measure("val_loss", "{} loss", log=True),
    Measure("val_accuracy", "{} accuracy", log=False),
    Measure("gradient_norm", "gradient norm at the last step of the epoch", log=True),
    Measure("update_ratio_hidden", "update / weights, hidden layer", log=True),
    Measure("update_ratio_output", "update / weights, output layer", log=True),
    Measure("dead_units", "share of hidden units at 0 for every {} image", log=False),
)
"""In the order of history.csv's columns."""
