"""Section `report` of params.yaml: the thresholds of the verdict and of the runs' health labels."""

import itertools
from typing import Annotated, Literal

from pydantic import Field, field_validator

from pipeline.params.section import Section

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Factor = Annotated[float, Field(gt=1, allow_inf_nan=False)]


class HealthParams(Section):
    """Thresholds of the labels; docs/report.md defines each label in full.

    Attributes:
        window: share of the epochs, at the end of a run, that "at the end" means; at least 4 epochs.
        loss_floor: a loss below it counts as it, in nats: what happens down there changes nothing.
        diverged_growth: the loss ends this many times above the first epoch's (NaN is always divergence).
        stuck_loss: a plateau above this share of the loss of guessing, ln(10), is a high one.
        flat_fall: a loss that falls by less than this share over the window has stopped falling.
        oscillating_share: share of the epochs with rising loss from which a run oscillates ...
        oscillating_rise: ... if a typical rise is at least this share of the loss.
        spike_factor: a loss this many times above the lowest so far is a spike.
        overfitting_rise: the validation loss ends this share above its lowest.
    """

    window: Annotated[float, Field(gt=0, le=1)]
    loss_floor: Positive
    diverged_growth: Factor
    stuck_loss: Share
    flat_fall: Share
    oscillating_share: Share
    oscillating_rise: Positive
    spike_factor: Factor
    overfitting_rise: Positive


class ReportParams(Section):
    """Attributes:

    criterion: the run's value that rates are compared by: `best_epoch`, its highest validation accuracy, or
        `last_epoch`, the validation accuracy at its end.
    confidence: level of every interval, test and set of rates, above 0.5 and below 1.
    diverged_share: a rate is infeasible if more than this share of its seeds diverged.
    coarse_ratio: neighbouring rates further apart than this factor are a coarse grid.
    accuracy_targets: validation accuracies whose first epoch is reported, rising, each with a column.
    budgets: numbers of epochs for which the best rate is reported, 1 to 1,000,000, rising.
    """

    criterion: Literal["best_epoch", "last_epoch"]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    diverged_share: Annotated[float, Field(ge=0, lt=1)]
    coarse_ratio: Factor
    accuracy_targets: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(strict=False)
    budgets: tuple[Annotated[int, Field(ge=1, le=1_000_000, strict=True)], ...] = Field(strict=False)
    health: HealthParams

    @field_validator("accuracy_targets", "budgets")
    @classmethod
    def _rise(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if any(after <= before for before, after in itertools.pairwise(values)):
            raise ValueError("expected rising values, none twice")
        return values

    @field_validator("accuracy_targets")
    @classmethod
    def _differ(cls, targets: tuple[float, ...]) -> tuple[float, ...]:
        for before, after in itertools.pairwise(targets):
            if target_column(before) == target_column(after):
                raise ValueError(
                    f"expected targets further apart, got {before} and {after}, which share the column "
                    f"{target_column(after)} of comparison.csv"
                )
        return targets


def target_column(target: float) -> str:
    """The column of comparison.csv for an accuracy: `epochs_to_97`; six digits of the percentage."""
    return f"epochs_to_{100 * target:g}"
