"""The model of a run as MLflow keeps it: one that answers for raw inputs.

MLflow's own Keras flavour would import TensorFlow here to save what already is a file, and would serve a
network that expects scaled inputs. So the file is wrapped as it is: `served/` holds the code that loads it
where it is served, and the model's configuration the scaling that comes before it.
"""

# ruff: noqa: TID251 - the package that imports MLflow

import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core import run_keys
from pipeline.core.task import Task
from pipeline.tracking.store import Store

_CODE = Path(__file__).parent / "served" / "learning_rate_study_model.py"


def sizes(network: Path) -> dict[str, int]:
    """Give the files that loading and serving a model read, and the least size of each."""
    read = ("MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", f"code/{_CODE.name}")
    return dict.fromkeys(read, 1) | {f"data/{network.name}": network.stat().st_size}


def log(store: Store, run: Any, network: Path, task: Task, outputs: str) -> None:
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
        name=f"{task.dataset}-classifier",
        source_run_id=run.info.run_id,
        tags={"outputs": outputs, "run_key": run.data.tags["run_key"]},
        params=run.data.params,
        model_type="classifier",
    )
    location, model_id = model.artifact_location, model.model_id
    described = Model(location, run.info.run_id, model_uuid=model_id, model_id=model_id)
    with tempfile.TemporaryDirectory() as temporary:
        save(Path(temporary) / "model", network, task, described)
        store.client.log_model_artifacts(model_id, f"{temporary}/model")
    store.client.finalize_logged_model(model_id, "READY")
    store.client.log_outputs(run.info.run_id, [LoggedModelOutput(model_id, step=0)])


def save(folder: Path, network: Path, task: Task, described: Any = None) -> None:
    """Write MLflow's folder of a model around the .keras file; `described` is an `mlflow.models.Model`."""
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    scaling, shape = task.scaling, raw_shape(task)
    # MLflow refuses what is not exactly of this type; float64 is what numpy and pandas have.
    dtype = np.dtype(np.uint8 if scaling.levels else np.float64)
    pyfunc.save_model(
        folder,
        loader_module=_CODE.stem,
        data_path=str(network),
        code_paths=[str(_CODE)],
        mlflow_model=described,
        signature=ModelSignature(
            Schema([TensorSpec(dtype, (-1, *shape))]),
            Schema([TensorSpec(np.dtype(np.float32), (-1, len(task.classes)))]),
        ),
        input_example=np.broadcast_to(scaling.mean, (1, *task.shape)).reshape(1, *shape).astype(dtype),
        metadata={"classes": list(task.classes)},
        model_config={name: list(getattr(scaling, name)) for name in ("mean", "deviation")}
        | {"shape": list(task.shape)},
        pip_requirements=[f"mlflow=={metadata.version('mlflow')}", *run_keys.pinned_packages()],
    )


def raw_shape(task: Task) -> tuple[int, ...]:
    """Give the shape of an input as people have it: that of an image of one channel without the channel."""
    return task.shape[:-1] if len(task.shape) == 3 and task.shape[-1] == 1 else task.shape
