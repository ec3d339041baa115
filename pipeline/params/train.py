"""Section `train` of params.yaml: what is trained, and how."""

import math
import sys
from collections.abc import Hashable, Iterable
from typing import Annotated, Literal

from pydantic import Field, field_validator

from pipeline.params.section import Section


class TrainParams(Section):
    """Attributes:

    learning_rates: each above 0 and below infinity, none twice; the only thing that the study varies.
    seeds: each from 0 to 2**32 - 1, none twice; a seed fixes the initial weights and every shuffle.
    epochs: passes over the training images, 1 to 1,000,000.
    batch_size: images a step, at least 1 and at most the training images.
    hidden_units: width of the hidden layer, 1 to 100,000; then weights and optimizer take a gigabyte.
    threads: threads a run computes with, 1 to 256; it decides where sums are rounded, so it is part of
        what determines a run, however many cores there are.
    precision: `float32`, or `bfloat16` for Keras' mixed policy (products in bfloat16, weights in float32).
    """

    learning_rates: tuple[Annotated[float, Field(strict=True)], ...] = Field(strict=False, min_length=1)
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32, strict=True)], ...] = Field(strict=False, min_length=1)
    epochs: Annotated[int, Field(ge=1, le=1_000_000)]
    batch_size: Annotated[int, Field(ge=1)]
    hidden_units: Annotated[int, Field(ge=1, le=100_000)]
    threads: Annotated[int, Field(ge=1, le=256)]
    precision: Literal["float32", "bfloat16"]

    @field_validator("learning_rates", mode="before")
    @classmethod
    def _are_decimal(cls, rates: object) -> object:
        # An integer would do for Adam, but DVC names the stage after the number as it is written, and
        # the run's folder with it: 1 and 1.0 would be one rate in two places.
        if isinstance(rates, list | tuple):
            for rate in rates:
                if isinstance(rate, int) and not isinstance(rate, bool):
                    if abs(rate) > sys.float_info.max:
                        raise ValueError("expected decimal numbers up to 1.8e+308")
                    raise ValueError(
                        f"expected a decimal number, got the integer {rate}: write {float(rate)}"
                    )
        return rates

    @field_validator("learning_rates")
    @classmethod
    def _are_rates(cls, rates: tuple[float, ...]) -> tuple[float, ...]:
        for rate in rates:
            if not (math.isfinite(rate) and rate > 0):
                raise ValueError(f"expected rates above 0 and finite, got {rate}")
        _check_distinct(rates, "rate")
        return rates

    @field_validator("seeds")
    @classmethod
    def _are_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        _check_distinct(seeds, "seed")
        return seeds


def _check_distinct(values: Iterable[Hashable], noun: str) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise ValueError(f"expected each {noun} once, got {value} twice: remove one of them")
        seen.add(value)
