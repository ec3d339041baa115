"""The champion, served over HTTP: raw images in, probabilities out."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core import runs
from pipeline.tracking.publish import publish
from tests.services import stack
from tests.tracking import studies

pytestmark = [pytest.mark.services, pytest.mark.filterwarnings("ignore")]

NETWORK = """
import sys
import numpy as np
import keras
keras.utils.set_random_seed(0)
network = keras.Sequential([
    keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")
])
network.save(sys.argv[1])
pixels = np.load("images.npy")[..., None].astype(np.float32) / np.float32(255)
np.save("expected.npy", network.predict_on_batch(pixels))
"""


def test_the_champion_answers_with_the_probabilities_of_raw_images(study: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    np.save(study / "images.npy", images)
    studies.write_study(study)
    network = runs.folder(study / "runs", 0.01, 1) / runs.MODEL
    environment = os.environ | {"PYTHONPATH": str(studies.ROOT)}
    subprocess.run([sys.executable, "-c", NETWORK, network], check=True, env=environment, cwd=study)
    assert publish() == 0
    expected = np.load(study / "expected.npy")

    port = stack.free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "--workers", "1"]
    command += [
        "--model-uri",
        "models:/digits-classifier@champion",
        "--host",
        stack.HOST,
        "--port",
        str(port),
    ]
    settings = environment | {"MLFLOW_TRACKING_URI": f"sqlite:///{study / 'mlflow.db'}"}
    with (study / "serve.log").open("wb") as log:
        server = subprocess.Popen(command, env=settings, stdout=log, stderr=log, cwd=study)
    try:
        address = f"http://{stack.HOST}:{port}"
        wait_until_up(address, server, study / "serve.log")
        answer = np.array(ask(address, images.tolist()))
        np.testing.assert_allclose(answer, expected, atol=1e-5)
        np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5)
        with pytest.raises(urllib.error.HTTPError) as refused:  # flat rows are no images
            ask(address, images.reshape(5, 784).tolist())
        refused.value.close()
        assert refused.value.code == 400
    finally:
        server.terminate()
        server.wait(30)


def ask(address: str, images: Any) -> Any:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    body = json.dumps({"inputs": images}).encode()
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    with direct.open(request, timeout=60) as answer:
        return json.load(answer)["predictions"]


def wait_until_up(address: str, server: "subprocess.Popen[bytes]", log: Path, seconds: float = 240) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        try:
            direct.open(f"{address}/ping", timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(log.read_text(encoding="utf-8")[-2000:])
