"""What the sections of params.yaml have in common."""

from pydantic import AfterValidator, BaseModel, ConfigDict


class Section(BaseModel):
    """A frozen model: an unknown key, a missing key and a wrong type are errors, never guesses."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def between(low: float, high: float) -> AfterValidator:
    """Accept numbers from `low` to `high`, in words that also large bounds leave short."""

    def check(value: float) -> float:
        if not low <= value <= high:
            raise ValueError(f"expected a number from {low} to {high}")
        return value

    return AfterValidator(check)
