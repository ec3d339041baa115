"""The model of a run as MLflow keeps it: one that answers for raw images.

MLflow's own Keras flavour would import TensorFlow here to save what already is a file, and would serve a
network that expects scaled pixels. So the file is wrapped as it is: `served/` holds the code that loads it
where it is served, scaling included.
"""

# ruff: noqa: TID251 - the package that imports MLflow

import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core import run_keys
from pipeline.tracking.store import Store

_CODE = Path(__file__).parent / "served" / "learning_rate_study_model.py"


def log(store: Store, run: Any, network: Path, outputs: str) -> None:
    """Put the run's model into MLflow, once: `network` is the .keras file, `outputs` the outputs' digest."""
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    for output in run.outputs.model_outputs:
        model = store.client.get_logged_model(output.model_id)
        if model.tags.get("outputs") == outputs and str(model.status) == "READY":
            return
        store.client.delete_logged_model(model.model_id)
    model = store.client.create_logged_model(
        store.experiment_id,
        name="digit-classifier",
        source_run_id=run.info.run_id,
        tags={"outputs": outputs, "run_key": run.data.tags["run_key"]},
        params=run.data.params,
        model_type="classifier",
    )
    location, model_id = model.artifact_location, model.model_id
    described = Model(location, run.info.run_id, model_uuid=model_id, model_id=model_id)
    with tempfile.TemporaryDirectory() as temporary:
        save(Path(temporary) / "model", network, described)
        store.client.log_model_artifacts(model_id, f"{temporary}/model")
    store.client.finalize_logged_model(model_id, "READY")
    store.client.log_outputs(run.info.run_id, [LoggedModelOutput(model_id, step=0)])


def save(folder: Path, network: Path, described: Any = None) -> None:
    """Write MLflow's folder of a model around the .keras file; `described` is an `mlflow.models.Model`."""
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    stroke = np.zeros((1, 28, 28), np.uint8)  # upright, as somebody writes a one
    stroke[0, 5:23, 13:15] = 255
    pyfunc.save_model(
        folder,
        loader_module=_CODE.stem,
        data_path=str(network),
        code_paths=[str(_CODE)],
        mlflow_model=described,
        signature=ModelSignature(
            Schema([TensorSpec(np.dtype(np.uint8), (-1, 28, 28))]),
            Schema([TensorSpec(np.dtype(np.float32), (-1, 10))]),
        ),
        input_example=stroke,
        pip_requirements=[f"mlflow=={metadata.version('mlflow')}", *run_keys.pinned_packages()],
    )
