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
from pipeline.train import arithmetic, optimizers, portability, schedules, unlit
from pipeline.train.checkpoints import EpochRow, State
from pipeline.train.examples import Examples
from pipeline.train.networks import Builder

_AT_ONCE = 1000
"""Examples evaluated together at most: enough to fill the cores, few enough to keep memory flat."""


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
        read: gives at least `train.batch_size` examples; called here, so that nobody else holds them in
            memory while they are copied.
        validation: looked at after each epoch; changes nothing.
    """

    def __init__(
        self, builder: Builder, read: Callable[[], Examples], validation: Examples, params: Params
    ) -> None:
        train = read()
        self._builder, self._params = builder, params
        self._size, self._batch_size = len(train.labels), params.train.batch_size
        self._model = builder.build(0)
        # What the steps train: the model itself, or a smaller one that comes to the same.
        self._trained, self._narrowed = self._model, unlit.narrow(self._model, train.inputs, params.optimizer)
        if self._narrowed:
            self._trained = self._narrowed.model
            lit = self._narrowed.lit[:, 0]
            train = Examples(train.inputs.reshape(self._size, -1)[:, lit], train.labels)
        self._train, self._validation = _constant(train), _constant(validation)
        self._optimizer = optimizers.make(params.optimizer)
        self._optimizer.build(self._trained.trainable_variables)
        self._fresh_optimizer = [variable.numpy() for variable in self._optimizer.variables]
        self._variables = [*self._trained.variables, *self._optimizer.variables]
        layers = dict(_layers(self._model))
        names = {id(part): name for name, layer in layers.items() for part in layer.trainable_variables}
        self._kernels = [
            (names.get(id(full), self._model.name), kernel, full)
            for kernel, full in zip(
                self._trained.trainable_variables, self._model.trainable_variables, strict=True
            )
            if full.name == "kernel"
        ]
        self._rectified = {name: layer for name, layer in layers.items() if _is_rectified(layer)}
        _, self._peaks = self._answer(self._validation.inputs[:1])
        # Without autograph, which takes longer to rewrite the code than TensorFlow to trace it.
        self.step = tf.function(self._step, autograph=False)
        self._epoch = tf.function(self._trace_epoch, autograph=False)

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
            self._give_back()
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
        if self._narrowed:
            self._narrowed.take()
        for variable, value in zip(self._optimizer.variables, self._fresh_optimizer, strict=True):
            variable.assign(value)

    def variables(self) -> list[NDArray[Any]]:
        """Copy what training can go on from, together with the rows so far."""
        return [variable.numpy() for variable in self._variables]

    @property
    def names(self) -> list[str]:
        """Name what `variables` copies."""
        return [variable.path for variable in self._variables]

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
        loss, predictions, _ = self._evaluate(*_constant(examples))
        classes = predictions.numpy().astype(np.int32)
        return float(loss), float((classes == examples.labels.argmax(axis=1)).mean()), classes

    def deviation(self) -> str | None:
        """Say what is not computed by `arithmetic`'s definition, here or anywhere; None: all is."""
        specs = tf.TensorSpec([self._size], tf.int32), tf.TensorSpec([self.steps], tf.float32)
        if names := portability.undefined(self._epoch.get_concrete_function(*specs).graph):
            return f"the network's {', '.join(names)}"
        kernels = [tuple(kernel.shape) for _, kernel, _ in self._kernels if len(kernel.shape) == 2]
        product = arithmetic.deviation(self._batch_size, kernels)
        return f"the product {product}" if product else None

    def _give_back(self) -> None:
        if self._narrowed:
            self._narrowed.give_back()

    def _step(self, chosen: Any, rate: Any) -> tuple[Any, Any, list[Any]]:
        """Train on a batch of a size known when traced; return its mean loss, its hits, the gradients."""
        inputs = _scaled(tf.gather(self._train.inputs, chosen))
        labels = tf.gather(self._train.labels, chosen)
        weights = [variable.value for variable in self._trained.trainable_variables]
        with arithmetic.defined():
            with tf.GradientTape() as tape:
                probabilities = tf.cast(self._trained(inputs, training=True), tf.float32)
                losses = keras.losses.categorical_crossentropy(labels, probabilities)
                loss = arithmetic.total(losses) / chosen.shape[0]
                penalized = loss + sum(self._trained.losses)  # what the layers ask for besides, if they do
            gradients = tape.gradient(penalized, weights)
            self._optimizer.learning_rate.assign(rate)
            self._optimizer.apply(gradients, self._trained.trainable_variables)
        hits = tf.equal(tf.argmax(probabilities, axis=1), tf.argmax(labels, axis=1))
        return loss, tf.math.count_nonzero(hits), gradients

    def _trace_epoch(self, permutation: Any, rates: Any) -> dict[str, Any]:
        """Do all steps, the validation, the diagnostics; return what history.csv holds, in its order.

        The last step takes the examples that remain, from 1 to the batch size, and is the one that the
        diagnostics look at: at every step they would cost some per cent of the time.
        """
        last, size = self.steps - 1, self._batch_size

        def train(step: Any, loss: Any, hits: Any) -> tuple[Any, Any, Any]:
            step_loss, step_hits, _ = self.step(tf.slice(permutation, [step * size], [size]), rates[step])
            return step + 1, loss + tf.cast(step_loss, tf.float64) * size, hits + step_hits

        start = (0, tf.zeros([], tf.float64), tf.zeros([], tf.int64))
        _, loss, hits = tf.while_loop(lambda step, *_: step < last, train, start, parallel_iterations=1)
        before = [tf.identity(kernel.value) for _, kernel, _ in self._kernels]
        step_loss, step_hits, gradients = self.step(permutation[last * size :], rates[last])
        loss += tf.cast(step_loss, tf.float64) * (self._size - last * size)
        hits += step_hits
        self._give_back()
        val_loss, classes, dead = self._evaluate(*self._validation)
        val_hits = tf.equal(classes, tf.argmax(self._validation.labels, axis=1))
        return {
            "loss": loss / self._size,
            "accuracy": hits / self._size,
            "val_loss": val_loss,
            "val_accuracy": tf.reduce_mean(tf.cast(val_hits, tf.float64)),
            "gradient_norm": arithmetic.norm([part for part in gradients if part is not None]),
            **{
                f"update_ratio_{name}": arithmetic.norm([kernel.value - old]) / arithmetic.norm([full.value])
                for (name, kernel, full), old in zip(self._kernels, before, strict=True)
            },
            **{f"dead_units_{name}": share for name, share in dead.items()},
        }

    def _evaluate(self, inputs: Any, labels: Any) -> tuple[Any, Any, dict[str, Any]]:
        """Compute mean loss (float64), classes, and by ReLU layer the share of units that are always 0."""
        size, at_once = labels.shape[0], min(_AT_ONCE, max(self._batch_size, 100))
        chunks = size // at_once

        def evaluate(
            start: Any, count: int, loss: Any, classes: Any, peaks: dict[str, Any]
        ) -> tuple[Any, ...]:
            chosen = start + tf.range(count)
            probabilities, highest = self._answer(tf.gather(inputs, chosen))
            with arithmetic.defined():
                losses = keras.losses.categorical_crossentropy(tf.gather(labels, chosen), probabilities)
                loss += tf.reduce_sum(tf.cast(losses, tf.float64))
            classes = classes.write(start // at_once, tf.argmax(probabilities, axis=1))
            return loss, classes, {name: tf.maximum(peaks[name], highest[name]) for name in peaks}

        classes = tf.TensorArray(tf.int64, math.ceil(size / at_once), infer_shape=False, element_shape=[None])
        peaks = {name: tf.zeros_like(peak) for name, peak in self._peaks.items()}
        state = (tf.zeros([], tf.float64), classes, peaks)
        # One chunk after the other, or all would be in memory at once.
        _, *state = tf.while_loop(
            lambda chunk, *_: chunk < chunks,
            lambda chunk, *state: (chunk + 1, *evaluate(chunk * at_once, at_once, *state)),
            (0, *state),
            parallel_iterations=1,
        )
        if size % at_once:
            state = evaluate(chunks * at_once, size % at_once, *state)
        loss, classes, peaks = state
        dead = {name: tf.reduce_mean(tf.cast(tf.equal(peak, 0), tf.float64)) for name, peak in peaks.items()}
        return loss / size, classes.concat(), dead

    def _answer(self, inputs: Any) -> tuple[Any, dict[str, Any]]:
        """Compute probabilities, and by ReLU layer the highest that each unit answers to any input."""
        highest: dict[str, Any] = {}

        def watched(name: str, layer: Any) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                answer = type(layer).call(layer, *arguments, **options)
                if isinstance(answer, tuple | list):  # of a recurrent cell: the layer around it is watched
                    return answer
                peak = tf.reduce_max(answer, axis=range(len(answer.shape) - 1))
                highest[name] = tf.concat([highest.get(name, peak[:0]), peak], 0)  # of each of its uses
                return answer

            return call

        # Keras shows the outputs of a model's own layers, not of those inside another layer.
        for name, layer in self._rectified.items():
            layer.call = watched(name, layer)
        try:
            with arithmetic.defined():
                return tf.cast(self._model(_scaled(inputs), training=False), tf.float32), highest
        finally:
            for layer in self._rectified.values():
                del layer.call


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
