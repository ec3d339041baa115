"""The model that MLflow keeps: raw inputs of any task in, what plain Keras gives for the scaled ones out."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.core.task import Task
from pipeline.scale import preparation
from pipeline.tracking import model
from pipeline.tracking.served.learning_rate_study_model import Network

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's and Keras' own

CLASSES = ("cat", "dog", "hare")


@pytest.mark.parametrize(
    ("shape", "dtype", "signature"),
    [
        ((5,), np.float32, "[Tensor('float64', (-1, 5))]"),
        ((8, 6, 1), np.uint8, "[Tensor('uint8', (-1, 8, 6))]"),
        ((4, 4, 3), np.uint8, "[Tensor('uint8', (-1, 4, 4, 3))]"),
        ((4, 4, 2), np.float32, "[Tensor('float64', (-1, 4, 4, 2))]"),
    ],
    ids=["table, standardised", "grey images", "colour images", "images of floats"],
)
def test_it_answers_raw_inputs_as_plain_keras_answers_scaled_ones(
    tmp_path: Path, shape: tuple[int, ...], dtype: type, signature: str
) -> None:
    import keras
    import mlflow

    raw = np.random.default_rng(0).integers(0, 256, (7, *shape)).astype(dtype)
    scaling = preparation.fit_scaling(raw, standardise=True)
    task = Task("own", shape, CLASSES, scaling, {})
    softmax = keras.layers.Dense(len(CLASSES), activation="softmax")
    network = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), softmax])
    network.save(tmp_path / "model.keras")
    expected = network.predict_on_batch(preparation.scale_inputs(raw, scaling))

    model.save(tmp_path / "served", tmp_path / "model.keras", task)
    served = mlflow.pyfunc.load_model(str(tmp_path / "served"))
    assert str(served.metadata.signature.inputs) == signature
    assert served.metadata.metadata == {"classes": list(CLASSES)}
    given = raw.reshape(7, *model.raw_shape(task)).astype(signature.split("'")[1])
    np.testing.assert_array_equal(served.predict(given), expected)
    example = served.metadata.load_input_example(str(tmp_path / "served"))
    assert served.predict(example).shape == (1, len(CLASSES))

    config = {"shape": shape, "mean": scaling.mean, "deviation": scaling.deviation}
    np.testing.assert_array_equal(Network(network, config).predict(raw), expected)  # with the channel
    with pytest.raises(ValueError, match=r"expected inputs of shape \(n, "):
        Network(network, config).predict(raw[..., :-1])
