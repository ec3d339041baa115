"""Shipped inside every MLflow model: raw images in, class probabilities out.

It stands alone: where a model is served, there is neither this repository nor its packages, only what the
model's own requirements.txt names. MLflow calls `_load_pyfunc`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 28
LEVELS = 255


class Network:
    """The trained network, with the scaling of stage `scale` in front of it."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> NDArray[np.float32]:  # noqa: ARG002 - MLflow's signature
        """Give the probability of each digit, shape (n, 10), each row adding up to 1.

        Args:
            model_input: shape (n, 28, 28), 0 is paper, 255 is ink.
        """
        images = np.asarray(model_input)
        if images.shape[1:] != (SIDE, SIDE):
            raise ValueError(f"expected images of shape (n, {SIDE}, {SIDE}), got {images.shape}")
        pixels = images.reshape(-1, SIDE * SIDE).astype(np.float32) / np.float32(LEVELS)
        return np.asarray(self._network.predict_on_batch(pixels), dtype=np.float32)


def _load_pyfunc(path: str) -> Network:
    import keras  # noqa: TID251 - pipeline.train.backend does not exist where a model is served

    return Network(keras.models.load_model(path, compile=False))
