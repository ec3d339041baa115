"""`make demo`: the whole pipeline on scikit-learn's digits, in a scratch copy, without a network."""

import shutil
import sys
from pathlib import Path

from pipeline.core import files
from pipeline.core.errors import ToolError
from pipeline.params import reading
from pipeline.tools import programs

_FOLDER = Path(".scratch/demo")
_NEEDED = (".dvc/config", ".dvcignore", "data/digits/README.md", "dvc.yaml", "params.yaml", "pipeline")
_CHANGES = {
    "data.dataset": "digits",
    "data.validation_size": 300,
    "train.learning_rates": [0.1, 0.01, 0.0001],
    "train.seeds": [0, 1],
    "train.epochs": 20,
    "train.batch_size": 64,
    "network": {"file": "pipeline/networks/mlp.py", "values": {"hidden_units": 100}},
}


def demo(folder: Path = _FOLDER) -> None:
    """Copy what is needed to `folder`, run everything there, and say where to look; git is not used.

    Raises:
        ToolError: a stage or `publish` failed; its own message stands above.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for name in _NEEDED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if Path(name).is_dir() else shutil.copyfile
        copy(name, folder / name)
    files.write_text(folder / ".dvc/config.local", "[core]\n    no_scm = true\n")
    reading.override(folder / "params.yaml", _CHANGES)
    # A demo stays out of a team's MLflow server, and DVC must see the copy as the repository.
    variables = programs.environment(MLFLOW_TRACKING_URI=None, DVC_ROOT=None, DVC_STAGE=None)
    if programs.dvc("repro", folder=folder, variables=variables) != 0:
        raise ToolError("The demo stopped: the reason stands above.")
    published = programs.pipeline("publish", folder=folder, variables=variables) == 0
    print(f"\nThe demo's report: {folder / 'report/index.html'}", flush=True)
    if not published:
        raise ToolError("The demo's runs are not all in MLflow: the reason stands above.")
    print(f"Its runs in MLflow: cd {folder} && {sys.executable} -m pipeline ui")
