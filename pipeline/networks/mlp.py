"""The textbook's network: one hidden layer of ReLU units between the inputs and the softmax outputs."""

import keras
import numpy as np


def build(input_shape: tuple[int, ...], classes: int, seed: int, *, hidden_units: int) -> keras.Model:
    """Build a model whose initial weights depend on the seed alone (Glorot uniform, biases 0).

    Args:
        input_shape: of one input; taken as a row of numbers, whatever its shape.
        classes: the number of outputs, which are float32 in every precision: a softmax in 8 bits of mantissa
            loses small probabilities.
        seed: 0 or above; each layer draws from a stream of its own derived from it.
        hidden_units: width of the layer `hidden`.
    """
    for_hidden, for_output = (int(state) for state in np.random.SeedSequence(seed).generate_state(2))
    glorot = keras.initializers.GlorotUniform
    return keras.Sequential(
        [
            keras.Input(input_shape, name="inputs"),
            keras.layers.Flatten(name="row"),
            keras.layers.Dense(
                hidden_units, activation="relu", kernel_initializer=glorot(for_hidden), name="hidden"
            ),
            keras.layers.Dense(
                classes,
                activation="softmax",
                kernel_initializer=glorot(for_output),
                dtype="float32",
                name="output",
            ),
        ],
        name="network",
    )
