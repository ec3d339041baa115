"""The training loop: a whole epoch, its validation and its diagnostics as one TensorFlow graph.

The model, the loss and the optimizer are Keras'; the batches are `order`'s; the result agrees with
`model.fit` on the same batches to rounding. Knows neither MLflow nor DVC.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.params import Params
from pipeline.train import optimizers, schedules
from pipeline.train.checkpoints import EpochRow, State
from pipeline.train.examples import Examples
from pipeline.train.networks import Builder

_AT_ONCE = (
    1000  # examples evaluated together at most: enough to fill the cores, few enough to keep memory flat
)


def is_diverged(row: EpochRow) -> bool:
    """Say whether an epoch's training or validation loss is NaN or infinite."""
    return not (math.isfinite(row["loss"]) and math.isfinite(row["val_loss"]))


def order(seed: int, epoch: int, size: int) -> NDArray[np.int32]:
    """Draw the order of an epoch's examples: a permutation that depends on nothing but (seed, epoch).

    Args:
        epoch: 1 for the first.
    """
    return np.random.default_rng([seed, epoch]).permutation(size).astype(np.int32)


class Trainer:
    """A trainer of runs on one data set, one after the other; data and graphs stay between them.

    Args:
        train: at least `train.batch_size` examples.
        validation: looked at after each epoch; changes nothing.
    """

    def __init__(self, builder: Builder, train: Examples, validation: Examples, params: Params) -> None:
        self._builder, self._params = builder, params
        self._size, self._batch_size = len(train.labels), params.train.batch_size
        self._train, self._validation = _constant(train), _constant(validation)
        self._model = builder.build(0)
        self._optimizer = optimizers.make(params.optimizer)
        self._optimizer.build(self._model.trainable_variables)
        self._fresh_optimizer = [variable.numpy() for variable in self._optimizer.variables]
        layers = dict(_layers(self._model))
        names = {id(variable): self._model.name for variable in self._model.trainable_variables}
        names |= {id(part): name for name, layer in layers.items() for part in layer.trainable_variables}
        self._kernels = {
            names[id(variable)]: variable
            for variable in self._model.trainable_variables
            if variable.name == "kernel"
        }
        self._rectified = {name: layer for name, layer in layers.items() if _is_rectified(layer)}
        _, self._peaks = self._answer(self._train.inputs[:1])
        self._epoch = tf.function(self._trace_epoch)
        self.step = tf.function(lambda chosen, rate: self._step(chosen, rate)[0])
        """Train on one batch, the positions `chosen`, at a rate; return the batch's mean loss."""

    @property
    def steps(self) -> int:
        """Give the number of steps in an epoch; the last one may have fewer examples."""
        return math.ceil(self._size / self._batch_size)

    def train(self, learning_rate: float, seed: int, start: State | None = None) -> Iterator[list[EpochRow]]:
        """Train to the last epoch, from the first or from where `start` was taken; yield all rows after each.

        Stops after the epoch in which the loss is no longer finite.
        """
        self.reset(seed)
        rows = list(start.rows) if start else []
        if start:
            for variable, value in zip(self._variables, start.variables, strict=True):
                variable.assign(value)
        epochs = self._params.train.epochs
        while len(rows) < epochs and not (rows and is_diverged(rows[-1])):
            epoch = len(rows) + 1
            rates = schedules.rates(self._params.schedule, learning_rate, epoch, epochs, self.steps)
            measures = self._epoch(tf.constant(order(seed, epoch, self._size)), tf.constant(rates))
            rows.append({name: float(value) for name, value in measures.items()})
            yield rows

    def reset(self, seed: int) -> None:
        """Give network and optimizer the values that a run of this seed starts with."""
        self.restore([variable.numpy() for variable in self._builder.build(seed).variables])
        for variable, value in zip(self._optimizer.variables, self._fresh_optimizer, strict=True):
            variable.assign(value)

    def variables(self) -> list[NDArray[Any]]:
        """Copy what training can go on from, together with the rows so far."""
        return [variable.numpy() for variable in self._variables]

    def network(self) -> list[NDArray[Any]]:
        """Copy the network's part of it."""
        return [variable.numpy() for variable in self._model.variables]

    def restore(self, network: Sequence[NDArray[Any]]) -> None:
        """Set what `network` copied."""
        for variable, value in zip(self._model.variables, network, strict=True):
            variable.assign(value)

    @property
    def model(self) -> Any:
        """The Keras model with its present weights."""
        return self._model

    def evaluate(self, examples: Examples) -> tuple[float, float, NDArray[np.int32]]:
        """Compute mean loss, accuracy and each example's class with the present weights.

        The loss is in nats, NaN or infinite after a divergence; the accuracy in [0, 1].
        """
        loss, predictions, _ = tf.function(self._evaluate)(*_constant(examples))
        classes = predictions.numpy().astype(np.int32)
        return float(loss), float((classes == examples.labels.argmax(axis=1)).mean()), classes

    @property
    def _variables(self) -> list[Any]:
        return [*self._model.variables, *self._optimizer.variables]

    def _step(self, chosen: Any, rate: Any) -> tuple[Any, Any, list[Any]]:
        """Train on a batch; return its mean loss, its hits, the gradients."""
        inputs = _scaled(tf.gather(self._train.inputs, chosen))
        labels = tf.gather(self._train.labels, chosen)
        weights = [variable.value for variable in self._model.trainable_variables]
        with tf.GradientTape() as tape:
            probabilities = tf.cast(self._model(inputs, training=True), tf.float32)
            loss = tf.reduce_mean(keras.losses.categorical_crossentropy(labels, probabilities))
            loss += self._penalty()
        gradients = tape.gradient(loss, weights)
        self._optimizer.learning_rate.assign(rate)
        self._optimizer.apply(gradients, self._model.trainable_variables)
        hits = tf.equal(tf.argmax(probabilities, axis=1), tf.argmax(labels, axis=1))
        return loss, tf.math.count_nonzero(hits), gradients

    def _trace_epoch(self, permutation: Any, rates: Any) -> dict[str, Any]:
        """Do all steps, the validation, the diagnostics; return what history.csv holds, in its order.

        The last step takes the examples that remain, from 1 to the batch size, and is the one that the
        diagnostics look at: at every step they would cost some per cent of the time.
        """
        last, size = self.steps - 1, self._batch_size
        loss, hits = tf.zeros([], tf.float64), tf.zeros([], tf.int64)
        for step in tf.range(last):
            step_loss, step_hits, _ = self._step(permutation[step * size : (step + 1) * size], rates[step])
            loss += tf.cast(step_loss, tf.float64) * size
            hits += step_hits
        before = {name: tf.identity(kernel.value) for name, kernel in self._kernels.items()}
        step_loss, step_hits, gradients = self._step(permutation[last * size :], rates[last])
        loss += tf.cast(step_loss, tf.float64) * (self._size - last * size)
        hits += step_hits
        val_loss, classes, dead = self._evaluate(*self._validation)
        val_hits = tf.equal(classes, tf.argmax(self._validation.labels, axis=1))
        return {
            "loss": loss / self._size,
            "accuracy": hits / self._size,
            "val_loss": val_loss,
            "val_accuracy": tf.reduce_mean(tf.cast(val_hits, tf.float64)),
            "gradient_norm": tf.linalg.global_norm([part for part in gradients if part is not None]),
            **{
                f"update_ratio_{name}": tf.norm(kernel.value - before[name]) / tf.norm(kernel.value)
                for name, kernel in self._kernels.items()
            },
            **{f"dead_units_{name}": share for name, share in dead.items()},
        }

    def _evaluate(self, inputs: Any, labels: Any) -> tuple[Any, Any, dict[str, Any]]:
        """Compute mean loss (float64), classes, and by rectified layer the share of units always at 0."""
        size, at_once = labels.shape[0], min(_AT_ONCE, max(self._batch_size, 100))
        loss = tf.zeros([], tf.float64)
        classes = tf.TensorArray(tf.int64, math.ceil(size / at_once), infer_shape=False)
        peaks = {name: tf.zeros_like(peak) for name, peak in self._peaks.items()}
        for start in tf.range(0, size, at_once):
            chunk = slice(start, start + at_once)
            probabilities, highest = self._answer(inputs[chunk])
            losses = keras.losses.categorical_crossentropy(labels[chunk], probabilities) + self._penalty()
            loss += tf.cast(tf.reduce_sum(losses), tf.float64)
            classes = classes.write(start // at_once, tf.argmax(probabilities, axis=1))
            peaks = {name: tf.maximum(peak, highest[name]) for name, peak in peaks.items()}
        dead = {name: tf.reduce_mean(tf.cast(tf.equal(peak, 0), tf.float64)) for name, peak in peaks.items()}
        return loss / size, classes.concat(), dead

    def _answer(self, inputs: Any) -> tuple[Any, dict[str, Any]]:
        """Compute probabilities, and by rectified layer the highest that each unit answers to any input."""
        highest: dict[str, Any] = {}

        def watched(name: str, layer: Any) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                answer = type(layer).call(layer, *arguments, **options)
                peak = tf.reduce_max(answer, axis=list(range(len(answer.shape) - 1)))
                highest[name] = tf.concat([highest.get(name, peak[:0]), peak], 0)  # of each of its uses
                return answer

            return call

        # Keras shows the outputs of a model's own layers, not of those inside another layer.
        for name, layer in self._rectified.items():
            layer.call = watched(name, layer)
        try:
            return tf.cast(self._model(_scaled(inputs), training=False), tf.float32), highest
        finally:
            for layer in self._rectified.values():
                del layer.call

    def _penalty(self) -> Any:
        """Sum the losses that the last call's layers add: on weights, on answers."""
        return sum(self._model.losses)


def _constant(examples: Examples) -> Examples:
    return Examples(tf.constant(examples.inputs), tf.constant(examples.labels))


def _scaled(inputs: Any) -> Any:
    return tf.cast(inputs, tf.float32) / 255.0 if inputs.dtype == tf.uint8 else inputs


def _layers(layer: Any, within: str = "") -> Iterator[tuple[str, Any]]:
    """List a layer's layers by name, those inside others after them: `block`, `block.dense`."""
    for inner in layer._flatten_layers(include_self=False, recursive=False):  # private; tried with Keras 3.15
        yield within + inner.name, inner
        yield from _layers(inner, f"{within}{inner.name}.")


def _is_rectified(layer: Any) -> bool:
    """Say whether a layer's outputs are a ReLU's."""
    return isinstance(layer, keras.layers.ReLU) or (
        getattr(layer, "activation", None) is keras.activations.relu
    )
