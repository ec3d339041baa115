"""The model of a run as MLflow keeps it: one that answers for raw images.

MLflow's own Keras flavour would import TensorFlow here to save what already is a file, and would serve a
network that expects scaled pixels. So the file is wrapped as it is: `served/` holds the code that loads it
where it is served, scaling included.
"""

# ruff: noqa: TID251 - the package that imports MLflow

import tempfile
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.store import Store

NAME = "digit-classifier"
_CODE = Path(__file__).parent / "served" / "learning_rate_study_model.py"


def log(store: Store, run: Any, network: Path, outputs: str) -> str:
    """Have the run's model in MLflow, once.

    Args:
        network: the .keras file.
        outputs: digest of the outputs that the model belongs to.

    Returns:
        The model's id.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    for output in run.outputs.model_outputs if run.outputs else ():
        model = store.client.get_logged_model(output.model_id)
        if model.tags.get("outputs") == outputs and str(model.status) == "READY":
            return str(model.model_id)
        store.client.delete_logged_model(model.model_id)
    model = store.client.create_logged_model(
        store.experiment_id,
        name=NAME,
        source_run_id=run.info.run_id,
        tags={"outputs": outputs, "run_key": run.data.tags["run_key"]},
        params=run.data.params,
        model_type="classifier",
    )
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) / "model"
        described = Model(
            artifact_path=model.artifact_location,
            model_uuid=model.model_id,
            run_id=run.info.run_id,
            model_id=model.model_id,
        )
        _save(place, network, described)
        store.client.log_model_artifacts(model.model_id, str(place))
    store.client.finalize_logged_model(model.model_id, "READY")
    store.client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])
    return str(model.model_id)


def prepare() -> None:
    """Save a model that nobody keeps: the first one imports and looks up what all others find ready."""
    from mlflow.models import Model

    with tempfile.TemporaryDirectory() as temporary:
        network = Path(temporary) / "network"
        network.touch()
        _save(Path(temporary) / "model", network, Model())


def delete_all(store: Store, run_id: str) -> None:
    """Delete the run's models, complete or not: MLflow lists them even when their run is deleted."""
    for model in store.client.search_logged_models(
        [store.experiment_id], filter_string=f"source_run_id = '{run_id}'"
    ):
        store.client.delete_logged_model(model.model_id)


def _save(place: Path, network: Path, described: Any) -> None:
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    signature = ModelSignature(
        Schema([TensorSpec(np.dtype(np.uint8), (-1, 28, 28))]),
        Schema([TensorSpec(np.dtype(np.float32), (-1, 10))]),
    )
    pyfunc.save_model(
        place,
        loader_module=_CODE.stem,
        data_path=str(network),
        code_paths=[str(_CODE)],
        mlflow_model=described,
        signature=signature,
        input_example=stroke(),
        pip_requirements=requirements(),
    )


def stroke() -> NDArray[np.uint8]:
    """An upright stroke, as somebody writes a one: shape (1, 28, 28)."""
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 5:23, 13:15] = 255
    return image


def requirements() -> list[str]:
    """What serving needs: the packages that the run was trained with, and this MLflow."""
    project = tomllib.loads((Path("pyproject.toml")).read_text(encoding="utf-8"))["project"]
    return [f"mlflow=={metadata.version('mlflow')}", *project["optional-dependencies"]["train"]]
