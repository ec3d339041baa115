"""A small convolutional network: two convolutions that halve the image, dropout, a softmax."""

import keras
from keras import layers


def build(
    input_shape: tuple[int, ...], classes: int, seed: int, *, filters: int = 32, dropout: float = 0.3
) -> keras.Model:
    """Build a model of images.

    Args:
        input_shape: (height, width, channels).
        classes: the number of outputs.
        seed: of initial weights and dropout; what is given no seed of its own follows from it, too.
        filters: of the first convolution; the second has twice as many.
        dropout: share of the features that a training step leaves out, from 0 to below 1.
    """
    return keras.Sequential(
        [
            keras.Input(input_shape, name="image"),
            layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu", name="first"),
            layers.Conv2D(2 * filters, 3, strides=2, padding="same", activation="relu", name="second"),
            layers.Flatten(name="features"),
            layers.Dropout(dropout, seed=seed, name="dropout"),
            layers.Dense(classes, activation="softmax", dtype="float32", name="output"),
        ],
        name="network",
    )
