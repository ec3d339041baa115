"""The network of the study: one hidden layer of ReLU units between the pixels and ten softmax outputs."""

from typing import Any

import numpy as np

PIXELS, CLASSES = 784, 10


def build(hidden_units: int, seed: int, *, inputs: int = PIXELS, precision: str = "float32") -> Any:
    """Build a Keras model whose initial weights depend on the seed alone (Glorot uniform, biases 0).

    Args:
        hidden_units: width of the layer `hidden`.
        seed: 0 or above; each layer draws from a stream of its own derived from it.
        inputs: pixels an image; fewer than 784 when unused ones are left out.
        precision: `float32`, or `bfloat16`: Keras' mixed policy in the hidden layer. The output layer
            stays float32, since a softmax in 8 bits of mantissa loses small probabilities.

    Returns:
        Takes (n, inputs) float32, gives (n, 10) float32 probabilities. Layers carry fixed names: Keras'
        automatic ones count up within a process, and the saved file should not say which run it was.
    """
    import keras  # not at the top: `train.backend` sets it up before the first import

    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    for_hidden, for_output = (int(state) for state in np.random.SeedSequence(seed).generate_state(2))
    glorot = keras.initializers.GlorotUniform
    return keras.Sequential(
        [
            keras.Input((inputs,), name="pixels"),
            keras.layers.Dense(
                hidden_units,
                activation="relu",
                kernel_initializer=glorot(for_hidden),
                dtype=policy,
                name="hidden",
            ),
            keras.layers.Dense(
                CLASSES, activation="softmax", kernel_initializer=glorot(for_output), name="output"
            ),
        ],
        name="network",
    )
