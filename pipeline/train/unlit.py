"""Leaving out inputs that are 0 in every training example, as 67 of the 784 pixels of MNIST are.

The gradient of their weights is exactly 0, so that most optimizers never move them. A network that begins
with a dense layer is then trained with a smaller one in that layer's place, and after each epoch its weights
are set into the full layer, which validates and is saved: the same training with 9 % less arithmetic
(`make bench`, "unlit inputs left in").
"""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.params.optimizers import Optimizer

_WORTHWHILE = 0.02
"""Share of the inputs from which on it is done."""


class Narrowed(NamedTuple):
    """A network that shares all but the first dense layer with the full one.

    Attributes:
        model: takes (n, lit inputs).
        lit: positions in a flattened input, shape (lit inputs, 1).
        narrow, full: the first dense layers of both.
    """

    model: Any
    lit: NDArray[np.int32]
    narrow: Any
    full: Any

    def take(self) -> None:
        """Set the full layer's weights into the narrow one."""
        self.narrow.kernel.assign(tf.gather_nd(self.full.kernel.value, self.lit))
        self.narrow.bias.assign(self.full.bias.value)

    def give_back(self) -> None:
        """Set the narrow layer's weights into the full one; those of unlit inputs stay as they are."""
        kernel = tf.tensor_scatter_nd_update(self.full.kernel.value, self.lit, self.narrow.kernel.value)
        self.full.kernel.assign(kernel)
        self.full.bias.assign(self.narrow.bias.value)


def narrow(model: Any, inputs: NDArray[Any], optimizer: Optimizer) -> Narrowed | None:
    """Make the smaller network; None where it would be none, or would not train alike.

    Args:
        inputs: of the training part, shape (n, ...).
    """
    layers = model.layers if isinstance(model, keras.Sequential) else []
    if not (
        len(layers) > 1
        and type(flatten := layers[0]) is keras.layers.Flatten
        and flatten.data_format == "channels_last"  # else it turns the axes first
        and type(dense := layers[1]) is keras.layers.Dense
        and [variable.name for variable in dense.trainable_variables] == ["kernel", "bias"]
        and not any((dense.kernel_regularizer, dense.kernel_constraint, optimizer.weight_decay))
        and optimizer.name != "muon"  # which moves a matrix as a whole
    ):
        return None
    rows = inputs.reshape(len(inputs), -1)
    lit = np.flatnonzero(rows.any(axis=0)).astype(np.int32)
    if len(lit) > (1 - _WORTHWHILE) * rows.shape[1]:
        return None
    twin = keras.layers.Dense.from_config(dense.get_config())
    smaller = keras.Sequential([keras.Input((len(lit),)), twin, *layers[2:]])
    return Narrowed(smaller, lit[:, None], twin, dense)
