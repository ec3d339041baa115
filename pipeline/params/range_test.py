"""Section `range_test` of params.yaml: how far, how finely, and until when the rate is raised."""

from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.params.section import Section

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class RangeTestParams(Section):
    """Attributes:

    lowest, highest: the first and the last rate; in between it grows by the same factor each step.
    steps: batches trained on for each seed, 20 to 10,000.
    smoothing: weight of the past in the running mean of the loss, from 0 up to, not including, 1.
    stop: a loss this many times above the lowest ends the test.
    """

    lowest: Rate
    highest: Rate
    steps: Annotated[int, Field(ge=20, le=10_000)]
    smoothing: Annotated[float, Field(ge=0, lt=1)]
    stop: Annotated[float, Field(gt=1, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _rises(self) -> "RangeTestParams":
        if self.highest < 10 * self.lowest:
            raise PydanticCustomError(
                "unfit",
                f"range_test.highest: expected at least ten times range_test.lowest, {self.lowest}, "
                f"got {self.highest}.",
            )
        return self
