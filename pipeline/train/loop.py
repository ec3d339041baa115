"""The training loop: a whole epoch, its validation and its diagnostics as one TensorFlow graph.

The model, the loss and the optimizer are Keras'; the batches are `order`'s; the result agrees with
`model.fit` on the same batches to rounding. Knows neither MLflow nor DVC.

Pixels that are 0 in every training image (67 of MNIST's 784) have a gradient of exactly 0: their weights
keep their initial values for ever. So the steps run on a narrow network without them, and after each epoch
its weights are set into the full network, which validates and is what is saved. It is the same training
with 9 % less arithmetic.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.measures import MEASURES
from pipeline.networks import mlp
from pipeline.train.backend import keras, tf
from pipeline.train.checkpoints import EpochRow, State
from pipeline.train.images import Images
from pipeline.train.optimizer import Adam

_AT_ONCE = 1000  # images evaluated together: enough to fill the cores, few enough to keep memory flat


def is_diverged(row: EpochRow) -> bool:
    """Say whether an epoch's training or validation loss is NaN or infinite."""
    return not (math.isfinite(row["loss"]) and math.isfinite(row["val_loss"]))


def order(seed: int, epoch: int, images: int) -> NDArray[np.int32]:
    """Draw the order of an epoch's images: a permutation that depends on nothing but (seed, epoch).

    Args:
        epoch: 1 for the first.
    """
    return np.random.default_rng([seed, epoch]).permutation(images).astype(np.int32)


class Trainer:
    """A trainer of runs on one data set, one after the other; data and graphs stay between them.

    Args:
        train: at least `batch_size` images.
        validation: looked at after each epoch; changes nothing.
        precision: `float32` or `bfloat16`.
    """

    def __init__(
        self,
        train: Images,
        validation: Images,
        batch_size: int,
        hidden_units: int,
        precision: str = "float32",
    ) -> None:
        lit = np.flatnonzero(train.levels.any(axis=0)).astype(np.int32)
        self._hidden_units = hidden_units
        self._size = len(train.levels)
        self._batch_size = batch_size
        self._lit = tf.constant(lit[:, None])
        self._levels = tf.constant(train.levels[:, lit])
        self._labels = tf.constant(train.labels)
        self._validation = _constant(validation)
        self._narrow = mlp.build(hidden_units, 0, inputs=len(lit), precision=precision)
        self._full = mlp.build(hidden_units, 0, precision=precision)
        self._optimizer = Adam()
        self._optimizer.build(self._narrow.trainable_variables)
        self._variables = [*self._narrow.variables, *self._optimizer.variables]
        self._epoch = tf.function(self._trace_epoch)

    def train(
        self, learning_rate: float, seed: int, epochs: int, start: State | None = None
    ) -> Iterator[list[EpochRow]]:
        """Train to `epochs`, from the first or from where `start` was taken; yield all rows after each.

        Stops after the epoch in which the loss is no longer finite.
        """
        self._reset(learning_rate, seed, start)
        rows = list(start.rows) if start else []
        while len(rows) < epochs and not (rows and is_diverged(rows[-1])):
            values = self._epoch(tf.constant(order(seed, len(rows) + 1, self._size)))
            rows.append({measure.name: float(values[measure.name]) for measure in MEASURES})
            yield rows

    def variables(self) -> list[NDArray[Any]]:
        """Copy what training can go on from, together with the rows so far."""
        return [variable.numpy() for variable in self._variables]

    def model(self) -> Any:
        """Make an ordinary float32 model of 784 inputs of the network, whatever the precision was."""
        model = mlp.build(self._hidden_units, 0)
        model.set_weights(self._full.get_weights())
        return model

    def evaluate(self, images: Images) -> tuple[float, float, NDArray[np.uint8]]:
        """Compute mean loss, accuracy and each image's class with the present weights.

        The loss is in nats, NaN or infinite after a divergence; the accuracy in [0, 1].
        """
        loss, predictions, _ = self._evaluate(_constant(images))
        hits = predictions.numpy() == images.labels.argmax(axis=1)
        return float(loss), float(hits.mean()), predictions.numpy().astype(np.uint8)

    def _reset(self, learning_rate: float, seed: int, start: State | None) -> None:
        fresh = mlp.build(self._hidden_units, seed)
        self._full.set_weights(fresh.get_weights())
        kernel, *others = fresh.get_weights()
        self._narrow.set_weights([tf.gather_nd(kernel, self._lit).numpy(), *others])
        for variable in self._optimizer.variables:
            variable.assign(tf.zeros_like(variable.value))
        if start:
            for variable, value in zip(self._variables, start.variables, strict=True):
                variable.assign(value)
            self._widen()
        self._optimizer.learning_rate.assign(learning_rate)

    def _widen(self) -> None:
        """Set the narrow network's weights into the full one; unlit pixels keep their initial weights."""
        narrow, full = self._narrow.variables, self._full.variables
        full[0].assign(tf.tensor_scatter_nd_update(full[0].value, self._lit, narrow[0].value))
        for target, source in zip(full[1:], narrow[1:], strict=True):
            target.assign(source.value)

    def _step(self, chosen: Any) -> tuple[Any, Any, list[Any]]:
        """Train on a batch; return its summed loss, its hits, the gradients."""
        pixels, labels = _scaled(tf.gather(self._levels, chosen)), tf.gather(self._labels, chosen)
        weights = [variable.value for variable in self._narrow.trainable_variables]
        with tf.GradientTape() as tape:
            probabilities = self._narrow(pixels, training=True)
            loss = tf.reduce_mean(keras.losses.categorical_crossentropy(labels, probabilities))
        gradients = tape.gradient(loss, weights)
        self._optimizer.apply(gradients, self._narrow.trainable_variables)
        hits = tf.equal(tf.argmax(probabilities, axis=1), tf.argmax(labels, axis=1))
        size = tf.cast(tf.shape(labels)[0], tf.float64)
        return tf.cast(loss, tf.float64) * size, tf.math.count_nonzero(hits), gradients

    def _trace_epoch(self, permutation: Any) -> Any:
        """Do all steps, the validation, the diagnostics; return `MEASURES` by name.

        The last step takes the images that remain, from 1 to the batch size, and is the one that the
        diagnostics look at: at every step they would cost some per cent of the time.
        """
        full_steps = (self._size - 1) // self._batch_size
        loss, hits = tf.zeros([], tf.float64), tf.zeros([], tf.int64)
        for step in tf.range(full_steps):
            chosen = permutation[step * self._batch_size : (step + 1) * self._batch_size]
            step_loss, step_hits, _ = self._step(chosen)
            loss, hits = loss + step_loss, hits + step_hits
        before = [tf.identity(layer.kernel.value) for layer in self._narrow.layers]
        step_loss, step_hits, gradients = self._step(permutation[full_steps * self._batch_size :])
        loss, hits = loss + step_loss, hits + step_hits
        self._widen()
        hidden_ratio, output_ratio = (
            tf.norm(narrow.kernel.value - old) / tf.norm(full.kernel.value)
            for narrow, full, old in zip(self._narrow.layers, self._full.layers, before, strict=True)
        )
        val_loss, predictions, dead = self._evaluate(self._validation)
        val_hits = tf.equal(predictions, tf.argmax(self._validation.labels, axis=1))
        values = {
            "loss": loss / self._size,
            "accuracy": hits / self._size,
            "val_loss": val_loss,
            "val_accuracy": tf.reduce_mean(tf.cast(val_hits, tf.float64)),
            "gradient_norm": tf.linalg.global_norm(gradients),
            "update_ratio_hidden": hidden_ratio,
            "update_ratio_output": output_ratio,
            "dead_units": dead,
        }
        if values.keys() != {measure.name for measure in MEASURES}:
            raise KeyError(f"expected a value for each of MEASURES and no other, got {', '.join(values)}")
        return values

    def _evaluate(self, images: Any) -> tuple[Any, Any, Any]:
        """Compute mean loss (float64), predicted classes, share of hidden units at 0 for every image."""
        hidden_layer, output_layer = self._full.layers
        loss, predictions = tf.zeros([], tf.float64), []
        peak = tf.zeros([self._hidden_units], hidden_layer.compute_dtype)
        size = images.labels.shape[0]
        for start in range(0, size, _AT_ONCE):
            with tf.control_dependencies([loss, peak]):  # one after the other, or all are in memory at once
                labels = images.labels[start : start + _AT_ONCE]
                hidden = hidden_layer(_scaled(images.levels[start : start + _AT_ONCE]))
                probabilities = output_layer(hidden)
                peak = tf.maximum(peak, tf.reduce_max(hidden, axis=0))
                losses = keras.losses.categorical_crossentropy(labels, probabilities)
                loss += tf.cast(tf.reduce_sum(losses), tf.float64)
                predictions.append(tf.argmax(probabilities, axis=1))
        dead = tf.reduce_mean(tf.cast(tf.equal(peak, 0), tf.float64))
        return loss / size, tf.concat(predictions, axis=0), dead


def _constant(images: Images) -> Images:
    return Images(tf.constant(images.levels), tf.constant(images.labels))


def _scaled(levels: Any) -> Any:
    return tf.cast(levels, tf.float32) / 255.0
