"""Shipped inside every MLflow model: raw inputs in, class probabilities out.

It stands alone: where a model is served, there is neither this repository nor its packages, only what the
model's own requirements.txt names. MLflow calls `_load_pyfunc`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Network:
    """The trained network, with the scaling of stage `scale` in front of it.

    Args:
        task: `shape` of one input as the network takes it, `mean` and `deviation` of the scaling.
    """

    def __init__(self, network: Any, task: Mapping[str, Any]) -> None:
        self._network, self._shape = network, tuple(task["shape"])
        self._mean, self._deviation = (np.asarray(task[name], np.float32) for name in ("mean", "deviation"))

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> NDArray[np.float32]:  # noqa: ARG002 - MLflow's signature
        """Give the probability of each class, shape (n, classes), each row adding up to 1.

        Args:
            model_input: raw, shape (n, *shape); images of one channel also without it.
        """
        raw = np.asarray(model_input)
        if raw.shape[1:] != self._shape and (*raw.shape[1:], 1) != self._shape:
            raise ValueError(f"expected inputs of shape (n, *{self._shape}), got {raw.shape}")
        scaled = (raw.reshape(-1, *self._shape).astype(np.float32) - self._mean) / self._deviation
        return np.asarray(self._network.predict_on_batch(scaled), dtype=np.float32)


def _load_pyfunc(path: str, model_config: Mapping[str, Any]) -> Network:
    import keras  # noqa: TID251 - pipeline.train.backend does not exist where a model is served

    return Network(keras.models.load_model(path, compile=False), model_config)
