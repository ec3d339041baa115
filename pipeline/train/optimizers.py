"""Keras' optimizers by the names that params.yaml has for them."""

from typing import Any

import keras
import tensorflow as tf

from pipeline.params.optimizers import Optimizer


class Adam(keras.optimizers.Adam):  # type: ignore[misc]  # Keras has no types
    """Adam (Kingma and Ba 2015) with Keras' state and Keras' formula.

    Keras writes the update as a dozen operations on whole arrays, each of which passes through memory.
    TensorFlow's own operation computes the same in a single pass.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move `variable`, a `tf.Variable`, and its two moments."""
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value + 1, tf.float64)  # rounded, a power is the same from every libm

        def power(beta: float) -> Any:
            return tf.cast(tf.pow(tf.constant(beta, tf.float64), step), variable.dtype)

        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=power(self.beta_1),
            beta2_power=power(self.beta_2),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


_CLASSES = {
    "sgd": keras.optimizers.SGD,
    "adam": Adam,
    "nadam": keras.optimizers.Nadam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "lion": keras.optimizers.Lion,
    "muon": keras.optimizers.Muon,
}


def make(optimizer: Optimizer) -> Any:
    """Make the Keras optimizer that params.yaml describes; its rate is set at each step."""
    return _CLASSES[optimizer.name](learning_rate=0.0, **optimizer.values())
