"""The optimizers that can be studied, by Keras' names, and what can be set of each.

The learning rate is not among the values: it is what is studied. The defaults are Keras', written down so
that another version of Keras cannot change them unseen.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline.params.section import Section, between

# With float32 one trains: the bounds keep a value from being 1, 0 or infinite there, and so its inverse.
Decay = Annotated[float, between(0, 1 - 2**-24)]
NotNegative = Annotated[float, between(0, 1e37)]
Above0 = Annotated[float, between(1e-37, 1e37)]


class _Optimizer(Section):
    """What all of them can do: decay the weights, limit the norm of all gradients together; None does not."""

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
