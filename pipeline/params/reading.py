"""From the file to the models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator
from pydantic_core import PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core import files
from pipeline.core.datasets import CLASSES, DATASETS
from pipeline.core.errors import ParamsError
from pipeline.params.data import DataParams
from pipeline.params.range_test import RangeTestParams
from pipeline.params.report import ReportParams
from pipeline.params.section import Section
from pipeline.params.train import TrainParams
from pipeline.params.wording import explain, short, unreadable


class Params(Section):
    """The whole of params.yaml."""

    data: DataParams
    train: TrainParams
    range_test: RangeTestParams
    report: ReportParams

    def values(self) -> dict[str, Any]:
        """Give the sections as plain numbers, texts, lists and dicts."""
        return self.model_dump(mode="json")

    @model_validator(mode="after")
    def _fits_the_data(self) -> "Params":
        name, held_out = self.data.dataset, self.data.validation_size
        images = DATASETS[name].train.size
        # `preparation.split` gives every class its share, and one image of each class to either side needs
        # no more than this; a test holds that against every possible size.
        if held_out and not CLASSES <= held_out <= images - CLASSES:
            raise PydanticCustomError(
                "unfit",
                f"data.validation_size: expected 0, or {CLASSES} to {images - CLASSES:,} of the {images:,} "
                f"training images of {name}, so that every class has images to train and to choose on, "
                f"got {short(held_out, ',')}.",
            )
        if self.train.batch_size > images - held_out:
            raise PydanticCustomError(
                "unfit",
                f"train.batch_size: expected at most the {images - held_out:,} training images of {name} "
                f"that data.validation_size leaves, got {short(self.train.batch_size, ',')}.",
            )
        return self


def load(path: Path = Path("params.yaml")) -> Params:
    """Read params.yaml as DVC reads it (YAML 1.2: `1e-3` is a number).

    Raises:
        ParamsError: not there, no YAML, or any value that the models refuse; names every such value.
    """
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamsError(
            f"{path}: expected the study's parameters, got: {error.strerror}. "
            "Run from the repository's root, or restore the file with git."
        ) from error
    except (YAMLError, ValueError, RecursionError) as error:  # not UTF-8 is a ValueError
        raise ParamsError(unreadable(path, error)) from error
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ParamsError(explain(path, error)) from None


def override(path: Path, changes: Mapping[str, object]) -> None:
    """Set values in a params.yaml by their dotted names; comments and all else stay as they are."""
    yaml = YAML()
    document = yaml.load(path.read_text(encoding="utf-8"))
    for name, value in changes.items():
        *sections, key = name.split(".")
        place = document
        for section in sections:
            place = place[section]
        place[key] = value
    with files.replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        yaml.dump(document, stream)
