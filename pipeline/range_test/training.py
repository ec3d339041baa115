"""Training while the rate rises, for the range test: the study's network, batches and optimizer."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.networks import mlp
from pipeline.params.models import TrainParams
from pipeline.train import loop
from pipeline.train.backend import keras, tf
from pipeline.train.optimizer import Adam

_HOPELESS = 10.0
"""A batch whose loss is this many times the first one's ends the seed: what follows is noise."""


def losses(
    images: NDArray[np.float32], labels: NDArray[np.float32], rates: NDArray[np.float64], train: TrainParams
) -> NDArray[np.float64]:
    """Compute each batch's loss before its step, with the weights and shuffles of the study's seeds.

    Args:
        images: shape (n, 784).
        labels: shape (n, 10), one-hot.
        rates: shape (steps,), rising.

    Returns:
        Shape (seeds, steps), seeds ascending; NaN from the step whose loss is not finite, or hopeless.
    """
    model = mlp.build(train.hidden_units, 0, precision=train.precision)
    optimizer = Adam()
    optimizer.build(model.trainable_variables)

    def trace(pixels: Any, targets: Any, rate: Any) -> Any:
        weights = [variable.value for variable in model.trainable_variables]
        with tf.GradientTape() as tape:
            entropy = keras.losses.categorical_crossentropy(targets, model(pixels, training=True))
            loss = tf.reduce_mean(entropy)
        optimizer.learning_rate.assign(rate)
        optimizer.apply(tape.gradient(loss, weights), model.trainable_variables)
        return loss

    step = tf.function(trace)
    table = np.full((len(train.seeds), len(rates)), np.nan)
    for row, seed in zip(table, sorted(train.seeds), strict=True):
        model.set_weights(mlp.build(train.hidden_units, seed).get_weights())
        for variable in optimizer.variables:
            variable.assign(tf.zeros_like(variable.value))
        for index, batch in enumerate(_batches(seed, len(images), train.batch_size, len(rates))):
            loss = float(step(images[batch], labels[batch], np.float32(rates[index])))
            if not loss <= _HOPELESS * (row[0] if index else math.inf):  # NaN is not, either
                break
            row[index] = loss
    return table


def _batches(seed: int, images: int, batch_size: int, steps: int) -> NDArray[np.int32]:
    """List the indices that the seed's runs would see, all batches full; shape (steps, batch size)."""
    epochs = -(-steps * batch_size // images)
    orders = [loop.order(seed, epoch, images) for epoch in range(1, epochs + 1)]
    return np.concatenate(orders)[: steps * batch_size].reshape(steps, batch_size)
