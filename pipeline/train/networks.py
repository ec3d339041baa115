"""Keras models from a network's file: the same seed gives the same weights and the same names of layers."""

import inspect
import re
import traceback
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.core.errors import ParamsError
from pipeline.core.network_files import NetworkFile
from pipeline.core.task import Task


class Builder:
    """A builder of one network for one task.

    Args:
        values: what the file's `build` takes besides the task and the seed.
        precision: `float32`, or `bfloat16`: Keras' mixed policy, wherever the file names no other one.

    Raises:
        ParamsError: the file cannot be run, or its `build` does not take these values.
    """

    def __init__(
        self, file: NetworkFile, task: Task, values: dict[str, Any], precision: str = "float32"
    ) -> None:
        self._path, self._build = file.path, file.build_function()
        self._arguments = {"input_shape": task.shape, "classes": len(task.classes), **values}
        self._policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
        signature = inspect.signature(self._build).replace(return_annotation=inspect.Signature.empty)
        try:
            signature.bind(seed=0, **self._arguments)
        except TypeError as error:
            raise ParamsError(
                f"network.values: expected what {file.path} takes, build{signature}, "
                f"got: {str(error).removeprefix('got ')}. Correct network.values in params.yaml."
            ) from None
        self._check(self.build(0), task)

    def build(self, seed: int) -> Any:
        """Build the model, whose initial weights and random layers depend on the seed alone.

        Raises:
            ParamsError: `build` fails.
        """
        keras.utils.clear_session(free_memory=False)  # automatic names of layers count from the start again
        keras.utils.set_random_seed(seed)  # for layers that are given no seed
        keras.config.set_dtype_policy(self._policy)
        keras.config.disable_traceback_filtering()  # which wraps an error into all arguments of the call
        try:
            model = self._build(seed=seed, **self._arguments)
            if isinstance(model, keras.Model) and not model.built:  # it waits for its first inputs
                model(keras.Input(self._arguments["input_shape"]), training=False)
            return model
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in frames if frame.filename == self._path]
            where = f"line {lines[-1]}, " if lines else ""
            raise ParamsError(
                f"{self._path}: {where}expected build to make a network for inputs of shape "
                f"{self._arguments['input_shape']} and these values, got {_in_a_line(error)}"
            ) from error
        finally:
            keras.config.set_dtype_policy("float32")

    def _check(self, model: Any, task: Task) -> None:
        """Check what a few inputs come out as, and that whoever gets model.keras can load it.

        Raises:
            ParamsError: no Keras model, nothing to train, weights of another type than float32, no
                probabilities of the classes, or no plain Keras.
        """
        wanted = f"{self._path}: expected build to return a Keras model"
        if not isinstance(model, keras.Model):
            raise ParamsError(f"{wanted}, got {type(model).__name__}. End `build` with `return model`.")
        inputs = np.random.default_rng(0).random((3, *task.shape), np.float32)
        try:
            model(keras.Input(task.shape), training=False)  # which says what it refuses in fewer words
            answer = tf.function(lambda: model(inputs, training=False), autograph=False)  # graphs refuse more
            outputs = np.asarray(keras.ops.cast(answer(), "float32"))
        except Exception as error:
            raise ParamsError(
                f"{wanted} that takes inputs of shape (n, {', '.join(map(str, task.shape))}), "
                f"got {_in_a_line(error)}"
            ) from error
        if not model.trainable_variables:
            raise ParamsError(f"{wanted} with weights to train, got none.")
        for weight in model.weights:
            if "float" in weight.dtype and weight.dtype != "float32":
                raise ParamsError(
                    f"{wanted} with weights in float32, got {weight.dtype} in {weight.path}. For products in "
                    "bfloat16, let `train.precision` of params.yaml say so, or a single layer's "
                    '`dtype="mixed_bfloat16"`.'
                )
        if outputs.shape != (3, len(task.classes)):
            raise ParamsError(
                f"{wanted} with an output for each of the {len(task.classes)} classes, shape "
                f"(n, {len(task.classes)}), got ({', '.join(['n', *map(str, outputs.shape[1:])])}). "
                "Its last layer gets `classes` units."
            )
        if not (outputs >= 0).all() or not np.allclose(outputs.sum(axis=1), 1, atol=0.01):
            raise ParamsError(
                f"{wanted} whose outputs are probabilities, from 0 to 1 and together 1, got {outputs[0]}. "
                'End it with a layer of `activation="softmax"`.'
            )
        keras.saving.get_custom_objects().clear()  # classes that the file registers, and nobody else has
        try:
            with warnings.catch_warnings(action="ignore"):  # the error says what they say
                keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
        except Exception as error:
            raise ParamsError(
                f"{wanted} that plain Keras can load again, got {_in_a_line(error)}. "
                "Build it of Keras' own layers, without Lambda and without classes of your own."
            ) from error


def _in_a_line(error: Exception) -> str:
    """Give an error's type and text, without TensorFlow's names for the operation that failed."""
    text = " ".join(re.sub(r"\{\{.*?\}\}", "", str(error)).split())
    return f"{type(error).__name__}: {text if len(text) <= 300 else f'{text[:150]} ... {text[-150:]}'}"
