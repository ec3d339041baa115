"""What every section of params.yaml has in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Frozen; a key that it does not know, a missing key and a wrong type are errors, never guesses."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
