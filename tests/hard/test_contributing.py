"""CONTRIBUTING.md's recipes, each carried out in a scratch copy: the files that it names, and no others."""

import csv
import hashlib
import itertools
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.datasets import DIGITS, File, Part
from pipeline.params import reading
from tests.conftest import ROOT
from tests.hard.conftest import outputs, run_dvc, run_pipeline

pytestmark = pytest.mark.hard


class Recipe:
    """A section of CONTRIBUTING.md, or one point of its list; only the files that it names can be changed.

    Args:
        name: what `<name>` in the recipe stands for.
    """

    def __init__(self, place: Path, heading: str, point: str = "", name: str = "") -> None:
        text = (place / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("<name>", name)
        text = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        if point:
            (text,) = [part for part in text.split("\n- ") if part.startswith(f"**{point}**")]
        self.place = place
        self.open = {*re.findall(r"`([\w/.]+\.(?:py|yaml|md|j2))`", text)}

    def edit(self, path: str, old: str, new: str) -> None:
        """Put `new` before `old`, which stands there once."""
        content = (self.place / path).read_text(encoding="utf-8")
        assert content.count(old) == 1, f"{path}: {old}"
        self.write(path, content.replace(old, new + old))

    def write(self, path: str, content: str) -> None:
        assert path in self.open, f"the recipe does not name {path}"
        (self.place / path).write_text(content, encoding="utf-8")

    def check(self, *tests: str) -> None:
        """What was written passes ruff and these tests."""
        for command in (["ruff", "check"], ["pytest", "-p", "no:xdist", *tests]):
            done = python(self.place, *command)
            assert done.returncode == 0, done.stdout + done.stderr


def python(place: Path, *module: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *module], cwd=place, capture_output=True, text=True, check=False
    )


def repro(place: Path) -> list[str]:
    """The stages that `dvc repro` runs."""
    done = run_dvc(place, "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    return re.findall(r"Running stage '([^']+)'", done.stdout + done.stderr)


def column(path: Path, name: str) -> list[str]:
    with path.open(encoding="utf-8", newline="") as stream:
        return [row[name] for row in csv.DictReader(stream)]


def in_mlflow(place: Path, metric: str) -> int:
    with sqlite3.connect(place / "mlflow.db") as store:
        return int(store.execute("select count(*) from metrics where key = ?", (metric,)).fetchone()[0])


def test_a_metric_per_run_and_one_per_rate_train_nothing(study: Path) -> None:
    per_run = Recipe(study, "Add a metric", "per run")
    per_run.edit(
        "pipeline/report/analysis/comparison.py",
        '        "roughness": state.roughness,\n',
        '        "lowest_loss": float(history["loss"].min()),\n',
    )
    per_run.edit(
        "docs/report.md",
        "| `report/curves.csv` |",
        "| | `lowest_loss`: the lowest training loss |\n",
    )
    tests = "tests/report/analysis/test_comparison.py"
    per_run.edit(tests, '        "rising_share": 0.0,\n', '        "lowest_loss": 0.4,\n')
    per_rate = Recipe(study, "Add a metric", "per rate")
    per_rate.edit("pipeline/report/analysis/verdict.py", "\n\nclass Pair(", "    highest_roughness: float\n")
    per_rate.edit(
        "pipeline/report/analysis/verdict.py",
        "            )\n        )\n    others = tuple(",
        '                float(own["roughness"].max()),\n',
    )
    per_rate.edit(
        "pipeline/report/metrics.py",
        '        "rising_share": _rounded',
        '        "highest_roughness": _rounded(rate.highest_roughness),\n',
    )
    per_rate.edit("pipeline/tracking/study.py", '"rising_share")', '"highest_roughness", ')
    metrics = "tests/report/test_metrics.py"
    for counts in ('{"converged": 3},', '{"diverged": 2, "converged": 1},'):
        per_rate.edit(metrics, f'        "health": {counts}', '        "highest_roughness": 0.1,\n')
    per_rate.edit("docs/report.md", "## Grid, speed", "**Highest roughness**: of a rate's seeds.\n\n")

    assert repro(study) == ["report"]

    lowest = [
        min(map(float, column(study / f"runs/lr-{rate}/seed-0/history.csv", "loss")))
        for rate in (0.001, 0.01)
    ]
    assert [*map(float, column(study / "report/comparison.csv", "lowest_loss"))] == lowest
    rates = json.loads((study / "report/verdict.json").read_text())["rates"]
    assert all(one["highest_roughness"] == one["roughness"] for one in rates.values())  # of a single seed
    assert run_pipeline(study, "publish").returncode == 0
    assert in_mlflow(study, "highest_roughness/lr-0.01") == 1
    per_run.check("tests/test_contract.py", "tests/test_docs.py", tests, metrics)


def test_a_metric_per_epoch_is_in_the_history_and_in_mlflow(study: Path) -> None:
    recipe = Recipe(study, "Add a metric", "per epoch")
    recipe.edit("pipeline/train/loop.py", ')\n"""What each epoch yields', '    "weight_norm",\n')
    recipe.edit(
        "pipeline/train/loop.py",
        "        )\n        return tf.stack(",
        "            tf.linalg.global_norm([one.value for one in self._full.trainable_variables]),\n",
    )
    docs = (study / "docs/training.md").read_text(encoding="utf-8")
    recipe.write("docs/training.md", f"{docs.rstrip()}\n| `weight_norm` | Euclidean norm of all weights |\n")

    assert sorted(repro(study)) == ["range_test", "report", "train@0.001-0", "train@0.01-0"]

    norms = [*map(float, column(study / "runs/lr-0.01/seed-0/history.csv", "weight_norm"))]
    assert len(norms) == 3
    assert all(after > before > 0 for before, after in itertools.pairwise(norms))
    assert in_mlflow(study, "weight_norm") >= 2 * 3
    recipe.check("tests/test_contract.py", "tests/test_docs.py", "tests/train/test_training.py")


def test_a_health_label_is_given_and_explained_on_the_page(study: Path) -> None:
    recipe = Recipe(study, "Add a health label")
    recipe.write(
        "params.yaml",
        (study / "params.yaml").read_text(encoding="utf-8").rstrip()
        + "\n    # late start: the loss first stays within this share of its first value. From 0 to 1.\n"
        "    late_share: 0.05\n",
    )
    recipe.edit("pipeline/params/report.py", "\n\nclass ReportParams", "    late_share: Share\n")
    recipe.edit(
        "pipeline/params/report.py",
        '    """\n\n    window:',
        "        late_share: a loss that first stays within this share of its first value starts late.\n",
    )
    health = "pipeline/report/analysis/health.py"
    recipe.edit(health, 'IMPROVING = "', 'LATE = "late start"\n')
    recipe.edit(health, "IMPROVING, UNSETTLED, CONVERGED)", "LATE, ")
    recipe.edit(health, "        IMPROVING: steadily,", "        LATE: _starts_late(loss, thresholds),\n")
    recipe.edit(
        health,
        "def _is_steady(",
        "def _starts_late(loss: Floats, thresholds: HealthParams) -> bool:\n"
        '    """The loss hardly falls in as many of the first epochs as the end has."""\n'
        "    first = loss[: len(_end(loss, thresholds))]\n"
        "    return bool((first >= (1 - thresholds.late_share) * loss[0]).all())\n\n\n",
    )
    recipe.edit(
        "pipeline/report/templates/glossary.html.j2",
        '{% call term("Still improving") %}',
        '{% call term("Late start") %}\n'
        "The training loss stays within {{ health.late_share | share }} of its first value for a while.\n"
        "{% endcall %}\n",
    )
    recipe.edit("docs/report.md", "| still improving |", "| late start | L first stays as it began |\n")
    recipe.edit(
        "tests/report/analysis/test_health.py",
        "        case health.IMPROVING:",
        "        case health.LATE:\n"
        "            late = np.maximum(time - 0.3 * epochs, 0)\n"
        "            loss = 0.02 + 0.8 * np.exp(-late / (0.08 * epochs))\n",
    )
    recipe.check("tests/test_contract.py", "tests/test_docs.py", "tests/report/analysis/test_health.py")

    reading.override(study / "params.yaml", {"train.learning_rates": [0.01, 1e-06], "train.epochs": 6})
    repro(study)

    slow, quick = column(study / "report/comparison.csv", "health")
    assert "late start" in slow
    assert "late start" not in quick
    page = (study / "report/index.html").read_text(encoding="utf-8")
    assert re.search(r"Late start.{0,80}The training loss stays within 5\s%", page, re.DOTALL)
    assert "late start" in (study / "report/summary.md").read_text(encoding="utf-8").lower()


STAGE = '''\
"""Stage `ending`: the validation loss at the end of each run, from the runs to a JSON file."""

from pathlib import Path

from pipeline import params
from pipeline.storage import files
from pipeline.storage import runs as run_folders


def ending(runs: Path, ending: Path) -> None:
    """Write ending.json into `ending`: by run, the mean of the last epochs' validation losses."""
    study = params.load()
    found = {}
    for rate in study.train.learning_rates:
        for seed in study.train.seeds:
            history = run_folders.read(runs, rate, seed).history
            found[f"{rate}, {seed}"] = float(history["val_loss"].tail(study.ending.epochs).mean())
    with files.replacing_folder(ending) as folder:
        files.write_json(folder / "ending.json", found)
'''

MODEL = '''\
"""Section `ending` of params.yaml: what counts as a run's end."""

from typing import Annotated

from pydantic import Field

from pipeline.params.section import Section


class EndingParams(Section):
    """Attributes:

    epochs: how many of the last ones, at least 1.
    """

    epochs: Annotated[int, Field(ge=1, le=1_000_000)]
'''

DEFINITION = """\
  ending:
    cmd: python -m pipeline ending runs ending
    params:
      - train.learning_rates
      - train.seeds
      - ending.epochs
    deps:
      - runs
      - pipeline/params/ending.py
    outs:
      - ending

"""

TEST = '''\
"""The end of each run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.params import reading
from pipeline.stages.ending import ending
from pipeline.storage import arrays, files, runs
from tests.conftest import ROOT


def test_the_last_epochs_are_averaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(ROOT / "params.yaml", "params.yaml")
    reading.override(Path("params.yaml"), {"train.learning_rates": [0.1], "train.seeds": [0]})
    place = runs.folder(Path("runs"), 0.1, 0)
    runs.write_history(place / runs.HISTORY, runs.CURVES, [(0, 0, loss, 0) for loss in (9.0, 2.0, 1.0)])
    files.write_json(place / runs.METRICS, {"learning_rate": 0.1, "seed": 0})
    arrays.write(place / runs.PREDICTIONS, np.zeros(1, np.uint8))

    ending(Path("runs"), Path("ending"))

    assert json.loads(Path("ending/ending.json").read_text()) == {"0.1, 0": 1.5}
'''


def test_a_stage_is_told_what_it_depends_on_and_runs_alone(study: Path) -> None:
    recipe = Recipe(study, "Add a stage", name="ending")
    recipe.write("pipeline/stages/ending.py", STAGE)
    recipe.edit(
        "pipeline/__main__.py",
        "def _summary(",
        "def _ending(chosen: argparse.Namespace) -> None:\n"
        "    from pipeline.stages.ending import ending\n\n"
        "    ending(chosen.runs, chosen.ending)\n\n\n",
    )
    recipe.edit(
        "pipeline/__main__.py",
        "    summary = command(",
        '    command("ending", _ending, "stage: how each run ends", "runs", "ending")\n',
    )
    recipe.edit("dvc.yaml", "metrics:\n", DEFINITION)
    recipe.edit(
        "params.yaml",
        "# Thresholds of the verdict.\n",
        "ending:\n  # How many of a run's last epochs count as its end, 1 to 1000000.\n  epochs: 2\n\n",
    )
    recipe.write("pipeline/params/ending.py", MODEL)
    params = "pipeline/params/reading.py"
    recipe.edit(
        params, "from pipeline.params.range_test ", "from pipeline.params.ending import EndingParams\n"
    )
    recipe.edit(params, "    report: ReportParams\n", "    ending: EndingParams\n")
    recipe.open.add("tests/test_ending.py")
    recipe.write("tests/test_ending.py", TEST)

    told = python(study, "pytest", "-vv", "-p", "no:xdist", "tests/test_contract.py", "-k", "depends").stdout
    missing = sorted({*re.findall(r"^E +'(pipeline/[\w/]+\.py)',?$", told, re.MULTILINE)})
    assert {"pipeline/stages/ending.py", "pipeline/core/files.py"} < {*missing}, told
    recipe.edit("dvc.yaml", "    outs:\n      - ending\n", "".join(f"      - {path}\n" for path in missing))

    assert repro(study) == ["ending"]

    found = json.loads((study / "ending/ending.json").read_text())
    losses = [*map(float, column(study / "runs/lr-0.01/seed-0/history.csv", "val_loss"))]
    assert found["0.01, 0"] == pytest.approx(sum(losses[1:]) / 2)
    assert len(found) == 2
    recipe.check("tests/test_contract.py", "tests/test_docs.py", "tests/test_ending.py")


def test_a_data_set_is_fetched_checked_and_studied(study: Path, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    shutil.copytree(study / "data/raw", mirror)
    before = outputs(study)["data/scaled"]

    def file(one: File) -> str:
        content = (mirror / one.name).read_bytes()
        packed = f'Published({len(content)}, "{hashlib.sha256(content).hexdigest()}")'
        return f'File(\n"{one.name}",\n"{one.content_sha256}",\n{packed}),\n'

    def part(one: Part) -> str:
        return f"Part({file(one.images)}{file(one.labels)}{one.class_counts}),\n"

    recipe = Recipe(study, "Add a data set")
    facts = "pipeline/core/datasets.py"
    definition = f'AGAIN = Dataset("again", {part(DIGITS.train)}{part(DIGITS.test)})\n\n'
    recipe.edit(facts, "DATASETS = {", definition)
    recipe.edit(facts, "DIGITS)}\n", "AGAIN, ")
    recipe.edit("pipeline/params/data.py", '"digits"]', '"again", ')
    recipe.edit("params.yaml", "  dataset:", "  # again: the same once more, fetched.\n")
    small = (study / "params.yaml").read_text(encoding="utf-8")
    shutil.copyfile(ROOT / "params.yaml", study / "params.yaml")  # that its tests are about
    recipe.check("tests/test_contract.py", "tests/params/test_params.py", "tests/download/test_datasets.py")
    recipe.write("params.yaml", small)
    reading.override(study / "params.yaml", {"data.dataset": "again", "data.mirrors": [str(mirror)]})

    done = run_dvc(study, "repro")

    assert done.returncode == 0, done.stderr
    assert "4 of 4 again files" in done.stdout
    assert outputs(study)["data/scaled"] == before
    assert json.loads((study / "report/verdict.json").read_text())["dataset"] == "again"
    (mirror / DIGITS.test.labels.name).write_bytes(b"something else")
    shutil.rmtree(study / "data/raw")
    assert run_pipeline(study, "download", "data/raw").returncode == 75
