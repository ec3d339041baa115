"""The optimizers that can be studied, by Keras' names, and what can be set of each.

The learning rate is no such value: it is what is studied. The defaults are Keras', written down so that
another version of Keras cannot change them unseen.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Decay = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Above0 = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Optimizer(BaseModel):
    """What all of them can do: decay the weights, limit the norm of all gradients together; None does not."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    weight_decay: NotNegative | None = None
    global_clipnorm: Above0 | None = None

    def values(self) -> dict[str, Any]:
        """Give Keras' arguments."""
        return self.model_dump(exclude={"name"})


class Sgd(_Optimizer):
    """Gradient descent, with momentum if wanted."""

    name: Literal["sgd"]
    momentum: Decay = 0.0
    nesterov: bool = False

    @model_validator(mode="after")
    def _has_momentum(self) -> "Sgd":
        if self.nesterov and not self.momentum:
            raise ValueError("expected a momentum above 0 with nesterov: true, got 0")
        return self


class Adam(_Optimizer):
    """Adam (Kingma and Ba 2015), or with Nesterov's momentum (Dozat 2016)."""

    name: Literal["adam", "nadam"]
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: Above0 = 1e-7


class Adamw(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    name: Literal["adamw"]  # type: ignore[assignment]
    weight_decay: NotNegative | None = 0.004


class Rmsprop(_Optimizer):
    """RMSprop (Hinton 2012)."""

    name: Literal["rmsprop"]
    rho: Decay = 0.9
    momentum: Decay = 0.0
    epsilon: Above0 = 1e-7
    centered: bool = False


class Lion(_Optimizer):
    """Lion (Chen et al. 2023)."""

    name: Literal["lion"]
    beta_1: Decay = 0.9
    beta_2: Decay = 0.99


class Muon(_Optimizer):
    """Muon (Jordan et al. 2024) for matrices, Adam for the rest."""

    name: Literal["muon"]
    momentum: Decay = 0.95
    nesterov: bool = True
    weight_decay: NotNegative | None = 0.004

    def values(self) -> dict[str, Any]:
        """Give Keras' arguments; one decay for all weights, where Keras has two."""
        return super().values() | {"adam_weight_decay": self.weight_decay}


Optimizer = Annotated[Sgd | Adam | Adamw | Rmsprop | Lion | Muon, Field(discriminator="name")]
