"""What each epoch of a run yields: the columns of history.csv, MLflow's metrics and the page's charts."""

from typing import NamedTuple


class Measure(NamedTuple):
    """A value per epoch; docs/training.md defines each.

    Attributes:
        name: its column in history.csv and its metric in MLflow; one that each layer has ends with `_`, and
            the layer's name follows.
        label: its name on the page; {held_out} stands for what is held out, {layer} for the layer.
        log: whether the page draws it on a logarithmic axis.
    """

    name: str
    label: str
    log: bool


MEASURES = (
    Measure("loss", "training loss", log=True),
    Measure("accuracy", "training accuracy", log=False),
    Measure("val_loss", "{held_out} loss", log=True),
    Measure("val_accuracy", "{held_out} accuracy", log=False),
    Measure("gradient_norm", "gradient norm at the last step of the epoch", log=True),
    Measure("update_ratio_", "update / weights, layer {layer}", log=True),
    Measure("dead_units_", "share of units at 0 for all {held_out} data, layer {layer}", log=False),
)
"""In the order of history.csv's columns."""


def measure_of(column: str, held_out: str) -> Measure:
    """Find a column's measure, with its own name and its label in full."""
    measure = next(
        measure
        for measure in MEASURES
        if measure.name == column or (measure.name.endswith("_") and column.startswith(measure.name))
    )
    label = measure.label.format(held_out=held_out, layer=column.removeprefix(measure.name))
    return measure._replace(name=column, label=label)
