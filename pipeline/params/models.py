"""What params.yaml may hold, a model for each section; what a value means stands there, above its key."""

import itertools
import json
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, model_validator

from pipeline.core.datasets import CLASSES, DATASETS
from pipeline.core.errors import ParamsError
from pipeline.params.optimizers import Optimizer
from pipeline.params.section import Section, between


def target_column(target: float) -> str:
    """Name the column of comparison.csv for an accuracy: `epochs_to_97`; six digits of the percentage."""
    return f"epochs_to_{100 * target:g}"


def _decimal(rate: object) -> object:
    # An integer would do for Adam, but DVC names the stage after the number as it is written, and the run's
    # folder with it: 1 and 1.0 would be one rate in two folders.
    if isinstance(rate, int) and not isinstance(rate, bool):
        raise ValueError("expected a decimal number (1.0, not 1)")
    return rate


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values or len(set(values)) < len(values):
        raise ValueError("expected at least one value, and none twice")
    return values


def _rising(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if any(after <= before for before, after in itertools.pairwise(values)):
        raise ValueError("expected rising values, none twice")
    return values


def _rising_targets(targets: tuple[float, ...]) -> tuple[float, ...]:
    if len(set(map(target_column, targets))) < len(targets):
        raise ValueError("expected targets that differ in six digits: each is a column of comparison.csv")
    return _rising(targets)


def _inside(path: str) -> str:
    # DVC puts the path into a list of files, unquoted.
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*\.py", path) or ".." in path.split("/"):
        raise ValueError(
            "expected the path of a Python file, from the repository's root and inside it, "
            "of letters, digits, `_`, `-` and `.`"
        )
    return path


def _json(values: dict[str, Any]) -> dict[str, Any]:
    if given := [name for name in ("input_shape", "classes", "seed") if name in values]:
        raise ValueError(f"expected values besides input_shape, classes and seed, got {', '.join(given)}")
    try:
        json.dumps(values, allow_nan=False)  # as the run key has them
    except ValueError:
        raise ValueError("expected finite numbers of at most 4,300 digits, and texts") from None
    return values


Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Factor = Annotated[float, Field(gt=1, allow_inf_nan=False)]
# What is in a list is strict by itself: the lists are not, since a YAML list becomes a tuple.
# With float32 one trains: there, smaller rates would be 0 and larger ones infinite.
AnyRate = Annotated[float, between(1e-37, 1e38)]
Rate = Annotated[AnyRate, Field(strict=True), BeforeValidator(_decimal)]
Seed = Annotated[int, Field(ge=0, lt=2**32, strict=True)]
Target = Annotated[float, Field(gt=0, le=1, strict=True)]
Epochs = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Source = Annotated[str, Field(min_length=1, strict=True)]
Sources = Annotated[tuple[Source, ...], Field(strict=False)]


class Mirrors(Section):
    """Where published data sets come from."""

    mnist: Sources
    fashion_mnist: Sources
    kmnist: Sources


class DataParams(Section):
    """The examples, and which of them are held out."""

    dataset: Literal["mnist", "fashion_mnist", "kmnist", "digits", "own"]
    validation_size: Annotated[int, Field(ge=0, le=10**9)]
    standardise: bool
    mirrors: Mirrors


class NetworkParams(Section):
    """The network: a file that builds it, and what the file's `build` takes besides the task and the seed."""

    file: Annotated[str, AfterValidator(_inside)]
    values: Annotated[dict[str, JsonValue], AfterValidator(_json)]


class ScheduleParams(Section):
    """How the rate changes during a run; the studied rate is its peak."""

    name: Literal["constant", "cosine", "linear"]
    warmup: Share

    @property
    def depends_on_epochs(self) -> bool:
        """Say whether an epoch's rate depends on how many epochs there will be."""
        return self.name != "constant" or self.warmup > 0


class TrainParams(Section):
    """The runs, and how they are trained."""

    learning_rates: Annotated[tuple[Rate, ...], Field(strict=False), AfterValidator(_distinct)]
    seeds: Annotated[tuple[Seed, ...], Field(strict=False), AfterValidator(_distinct)]
    epochs: Epochs
    batch_size: Annotated[int, Field(ge=1, le=10**9)]
    threads: Annotated[int, Field(ge=1, le=256)]
    precision: Literal["float32", "bfloat16"]
    keep: Literal["best_epoch", "last_epoch"]

    def check_batch_size(self, size: int) -> None:
        """Raise ParamsError if a batch takes more than the `size` training examples."""
        if self.batch_size > size:
            raise ParamsError(
                f"train.batch_size: expected at most the {size:,} training examples, got {self.batch_size}. "
                "Change it in params.yaml."
            )


class RangeTestParams(Section):
    """The rise of the rate: how far, how finely, and until when."""

    lowest: AnyRate
    highest: AnyRate
    steps: Annotated[int, Field(ge=20, le=10_000)]
    smoothing: Annotated[float, Field(ge=0, lt=1)]
    stop: Factor

    @model_validator(mode="after")
    def _rises(self) -> "RangeTestParams":
        if self.highest < 10 * self.lowest:
            raise ValueError(
                f"expected highest to be at least ten times lowest, got {self.lowest} to {self.highest}"
            )
        return self


class HealthParams(Section):
    """Thresholds of the runs' health labels; docs/report.md defines each label in full."""

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
    """Thresholds of the verdict."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    margin: Annotated[float, Field(gt=0, lt=1)]
    diverged_share: Annotated[float, Field(ge=0, lt=1)]
    coarse_ratio: Factor
    accuracy_targets: Annotated[tuple[Target, ...], Field(strict=False), AfterValidator(_rising_targets)]
    budgets: Annotated[tuple[Epochs, ...], Field(strict=False), AfterValidator(_rising)]
    health: HealthParams


class Params(Section):
    """The whole of params.yaml."""

    data: DataParams
    network: NetworkParams
    optimizer: Optimizer
    schedule: ScheduleParams
    train: TrainParams
    range_test: RangeTestParams
    report: ReportParams

    def values(self) -> dict[str, Any]:
        """Give the sections as plain numbers, texts, lists and dicts."""
        return self.model_dump(mode="json")

    @model_validator(mode="after")
    def _fits_the_data(self) -> "Params":
        name, held_out = self.data.dataset, self.data.validation_size
        if name not in DATASETS:  # stage `scale` sees how many there are
            return self
        images = DATASETS[name].train.size
        # `preparation.split` gives every class its share, and one image of each class to either side needs
        # no more than this; a test holds that against every possible size.
        if held_out and not CLASSES <= held_out <= images - CLASSES:
            raise ValueError(
                f"data.validation_size: expected 0, or {CLASSES} to {images - CLASSES:,} of the {images:,} "
                f"training images of {name}, so that every class has images to train and to choose on, "
                f"got {held_out}"
            )
        if self.train.batch_size > images - held_out:
            raise ValueError(
                f"train.batch_size: expected at most the {images - held_out:,} training images of {name} "
                f"that data.validation_size leaves, got {self.train.batch_size}"
            )
        return self
