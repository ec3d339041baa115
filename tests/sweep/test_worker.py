"""A worker: what it needs of the driver's machine, and where it keeps its checkpoints.

`train/test_train_stage.py` compares its bytes with the train stage's.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import params
from pipeline.core.errors import ToolError
from pipeline.core.network_files import NetworkFile
from pipeline.core.task import AS_THEY_ARE, Task
from pipeline.sweep import worker
from pipeline.sweep.worker import SweepStudy, scratch_root
from pipeline.tracking.data import Data
from tests.conftest import ROOT

TABLE = Task("own", (4,), ("low", "high"), AS_THEY_ARE, {"train": 60, "validation": 20, "test": 20})

ELSEWHERE = """
import json
import numpy as np
from pipeline import params
from pipeline.core import run_keys
from pipeline.core.network_files import NetworkFile
from pipeline.sweep import SweepRun, worker
from pipeline.tracking.data import Data
from pipeline.train.examples import Examples
from tests.sweep.test_worker import ROOT, TABLE

NETWORK = '''
import keras

def build(input_shape, classes, seed, *, units):
    layers = [keras.Input(input_shape), keras.layers.Dense(units, "tanh", name="from_the_driver")]
    return keras.Sequential([*layers, keras.layers.Dense(classes, "softmax", name="output")])
'''
values = params.load(ROOT / "params.yaml").values()
values["data"] |= {"dataset": "own", "validation_size": 20}
values["network"] = {"file": "nets/mine.py", "values": {"units": 5}}
values["train"] |= {"epochs": 2, "batch_size": 16}
study = worker.SweepStudy(
    params.Params.model_validate_json(json.dumps(values)),
    {"files": {"nets/mine.py": "0" * 64, "data/scaled": "0" * 64}, "packages": run_keys.pinned_packages()},
    NetworkFile("nets/mine.py", NETWORK), Data(TABLE, {}), "/nowhere", None, 0.0,
)
parts = {}
for part, size in TABLE.sizes.items():
    inputs = np.random.default_rng(size).normal(size=(size, 4)).astype(np.float32)
    parts[part] = Examples(inputs, np.eye(2, dtype=np.float32)[(inputs[:, 0] > 0).astype(int)])
files = worker.train(study, parts, SweepRun(0.01, 0, "key"), lambda message: None).files
print(json.dumps({"header": files["history.csv"].decode().splitlines()[0].split(","),
                  "metrics": json.loads(files["metrics.json"])}))
"""


def test_a_network_s_file_and_task_come_with_the_study(tmp_path: Path) -> None:
    variables = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout.splitlines()[-1])
    assert "update_ratio_from_the_driver" in made["header"]
    assert (made["metrics"]["dataset"], made["metrics"]["epochs"]) == ("own", 2)
    assert not list(tmp_path.rglob("mine.py"))


def of(network: str, **files: str) -> SweepStudy:
    inputs = {"files": files, "packages": []}
    settings = params.load(ROOT / "params.yaml")
    return SweepStudy(settings, inputs, NetworkFile(network, ""), Data(TABLE, {}), "/nowhere", None, 0.0)


def test_a_worker_may_lack_the_network_s_file_and_no_other_code() -> None:
    network = "pipeline/networks/of_the_driver.py"
    worker._check_code(of(network, **{network: "0" * 64}))
    with pytest.raises(
        ToolError, match=r"pipeline/networks/mlp\.py: expected the driver's code, got another"
    ):
        worker._check_code(of(network, **{"pipeline/networks/mlp.py": "0" * 64}))


def test_a_machine_without_the_repository_has_a_folder_of_this_user_s_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    study = of("nets/mine.py")
    own = scratch_root(study)
    assert own.parent == tmp_path
    assert own.stat().st_mode & 0o777 == 0o700
    assert scratch_root(study) == own  # and the next run's

    own.chmod(0o777)
    with pytest.raises(ToolError, match="expected a folder that is this user's alone"):
        scratch_root(study)
    own.rmdir()
    (tmp_path / "planted").mkdir(mode=0o700)
    own.symlink_to(tmp_path / "planted")
    with pytest.raises(ToolError, match="expected a folder that is this user's alone"):
        scratch_root(study)
