"""Section `data` of params.yaml: which images, and which of them are held out."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params.section import Section


class DataParams(Section):
    """Attributes:

    dataset: `mnist`, or `digits`, the small sample that scikit-learn ships.
    validation_size: training images held out, in equal shares of every class, to choose the rate on;
        0 is the textbook protocol, in which the test set serves as validation data.
    mirrors: where the files of `mnist` come from, tried in order: a folder (relative to the repository's
        root) or an http(s) address under which the four files lie.
    """

    dataset: Literal["mnist", "digits"]
    validation_size: Annotated[int, Field(ge=0)]
    mirrors: tuple[Annotated[str, Field(min_length=1)], ...] = Field(strict=False)
