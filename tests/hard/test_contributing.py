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
from tests.conftest import ROOT, wait_until_delivered
from tests.hard.conftest import outputs, run_dvc, run_pipeline

pytestmark = pytest.mark.hard

TRAINED = ["range_test", "report", "train@0.001-0", "train@0.01-0"]


class Recipe:
    """A section of CONTRIBUTING.md, or one point of its list; only the files that it names can be changed.

    A folder that it names with a slash at the end can get new files.

    Args:
        name: what `<name>` in the recipe stands for.
    """

    def __init__(self, project: Path, heading: str, point: str = "", name: str = "") -> None:
        text = (project / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("<name>", name)
        text = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        if point:
            (text,) = [part for part in text.split("\n- ") if part.startswith(f"**{point}**")]
        self.project = project
        self.files = {*re.findall(r"`([\w/.]+\.(?:py|toml|yaml|md|j2))`", text)}
        self.folders = {*re.findall(r"`([\w/]+)/`", text)}

    def edit(self, path: str, old: str, new: str) -> None:
        """Put `new` before `old`, which stands there once."""
        content = (self.project / path).read_text(encoding="utf-8")
        assert content.count(old) == 1, f"{path}: {old}"
        self.write(path, content.replace(old, new + old))

    def write(self, path: str, content: str) -> None:
        target = self.project / path
        is_new = not target.exists() and target.parent.relative_to(self.project).as_posix() in self.folders
        assert path in self.files or is_new, f"the recipe does not name {path}"
        target.parent.mkdir(exist_ok=True)
        target.write_text(content, encoding="utf-8")

    def check(self, *tests: str) -> None:
        """Check that what was written passes the linters, the contract, the documents' tests and these."""
        tests = ("tests/test_contract.py", "tests/test_docs.py", *tests)
        for command in (["ruff", "check"], ["lint-imports"], ["pytest", "-p", "no:xdist", *tests]):
            done = run(self.project, *command)
            assert done.returncode == 0, done.stdout + done.stderr


def run(project: Path, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a program of the environment in the project."""
    path = Path(sys.executable).with_name(program)
    return subprocess.run([path, *arguments], cwd=project, capture_output=True, text=True, check=False)


def repro(project: Path) -> list[str]:
    """Run `dvc repro`, and give the stages that it ran, sorted."""
    done = run_dvc(project, "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(re.findall(r"Running stage '([^']+)'", done.stdout + done.stderr))


def column(path: Path, name: str) -> list[str]:
    with path.open(encoding="utf-8", newline="") as stream:
        return [row[name] for row in csv.DictReader(stream)]


def in_mlflow(project: Path, metric: str) -> int:
    """Count the values that MLflow has of a metric."""
    with sqlite3.connect(project / "mlflow.db") as store:
        return int(store.execute("select count(*) from metrics where key = ?", (metric,)).fetchone()[0])


def page(project: Path) -> str:
    return (project / "report/index.html").read_text(encoding="utf-8")


def test_a_metric_per_run_and_one_per_rate_train_nothing(study: Path) -> None:
    per_run = Recipe(study, "Add a metric", "per run")
    per_run.edit(
        "pipeline/report/analysis/comparison.py",
        '        "roughness": examined.roughness,\n',
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
    per_rate.edit(
        "pipeline/report/analysis/verdict.py", "\n\nclass Verdict(", "    highest_roughness: float\n"
    )
    per_rate.edit(
        "pipeline/report/analysis/verdict.py",
        "            )\n        )\n    seeds = tuple(",
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
    reported = [*map(float, column(study / "report/comparison.csv", "lowest_loss"))]
    assert reported == pytest.approx(lowest, rel=1e-11)  # tables have twelve digits
    rates = json.loads((study / "report/verdict.json").read_text())["rates"]
    assert all(rate["highest_roughness"] == rate["roughness"] for rate in rates.values())  # of a single seed
    assert run_pipeline(study, "publish").returncode == 0
    assert in_mlflow(study, "highest_roughness/lr-0.01") == 1
    per_run.check(tests, metrics)


def test_a_measure_is_in_the_history_in_mlflow_and_on_the_page(study: Path) -> None:
    recipe = Recipe(study, "Add a measure")
    recipe.edit(
        "pipeline/core/measures.py",
        ')\n"""In the order of history.csv',
        '    Measure("weight_norm", "norm of the weights, judged on {held_out}", log=True),\n',
    )
    recipe.edit(
        "pipeline/train/loop.py",
        '            "gradient_norm": arithmetic',
        '            "weight_norm": arithmetic.norm([weight.value for weight in self._model.weights]),\n',
    )
    docs = (study / "docs/training.md").read_text(encoding="utf-8")
    recipe.write("docs/training.md", f"{docs.rstrip()}\n| `weight_norm` | Euclidean norm of all weights |\n")

    assert {*TRAINED} <= {*repro(study)}

    norms = [*map(float, column(study / "runs/lr-0.01/seed-0/history.csv", "weight_norm"))]
    assert len(norms) == 3
    assert all(after > before > 0 for before, after in itertools.pairwise(norms))
    wait_until_delivered(study)
    assert in_mlflow(study, "weight_norm") >= 2 * 3
    assert "Norm of the weights, judged on validation" in page(study)
    assert (study / "report/figures/weight_norm.svg").exists()
    recipe.check("tests/train/test_training.py", "tests/report/charts", "tests/tracking")


def test_a_health_label_is_given_and_explained_on_the_page(study: Path) -> None:
    recipe = Recipe(study, "Add a health label")
    recipe.write(
        "params.yaml",
        (study / "params.yaml").read_text(encoding="utf-8").rstrip()
        + "\n    # late start: the loss first stays within this share of its first value. From 0 to 1.\n"
        "    late_share: 0.05\n",
    )
    recipe.edit("pipeline/params/models.py", "\n\nclass ReportParams", "    late_share: Share\n")
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
    recipe.check("tests/report/analysis/test_health.py", "tests/report/test_page.py")

    reading.override(study / "params.yaml", {"train.learning_rates": [0.01, 1e-06], "train.epochs": 6})
    repro(study)

    slow, quick = column(study / "report/comparison.csv", "health")
    assert "late start" in slow
    assert "late start" not in quick
    assert re.search(r"Late start.{0,80}The training loss stays within 5\s%", page(study), re.DOTALL)
    assert "late start" in (study / "report/summary.md").read_text(encoding="utf-8").lower()


CHART = '''\
"""Where each run ends: its last loss over its rate."""

from matplotlib.figure import Figure

from pipeline.report.charts import style
from pipeline.report.charts.curves import Histories


def ends_chart(histories: Histories, held_out: str) -> Figure:
    """Draw a point for each run."""
    figure, (axes,) = style.figure()
    ends = [(rate, run["val_loss"].iloc[-1]) for rate, runs in histories.items() for run in runs]
    axes.plot(*zip(*ends, strict=True), ".", color=style.VALIDATION)
    style.rate_axis(axes, min(histories) / 2, max(histories) * 2)
    style.title(axes, f"{held_out} loss after the last epoch")
    return figure
'''


def test_a_chart_is_on_the_page_and_trains_nothing(study: Path) -> None:
    recipe = Recipe(study, "Add a chart")
    recipe.write("pipeline/report/charts/ends.py", CHART)
    gallery = "pipeline/report/charts/gallery.py"
    recipe.edit(
        gallery,
        "from pipeline.report.charts.range_test import",
        "from pipeline.report.charts.ends import ends_chart\n",
    )
    recipe.edit(
        gallery,
        "\n\ndef css_variables(",
        "    yield Chart(\n"
        '        "ends",\n'
        '        "overlay",\n'
        '        "Where each run ends",\n'
        '        _describe_ends(histories, "val_loss"),\n'
        "        svg.to_text(ends_chart(histories, held_out)),\n"
        "    )\n",
    )

    assert repro(study) == ["report"]

    assert (study / "report/figures/ends.svg").exists()
    together = page(study).partition('id="together"')[2].partition("</section>")[0]
    assert "Where each run ends" in together
    recipe.check("tests/report/charts", "tests/report/test_page.py")


def test_another_network_trains_every_run_again_and_nothing_else_has_to_know(study: Path) -> None:
    before = outputs(study)
    recipe = Recipe(study, "Add a network", name="leaky")
    network = (study / "pipeline/networks/mlp.py").read_text(encoding="utf-8")
    assert network.count('"relu"') == 1
    recipe.write("pipeline/networks/leaky.py", network.replace('"relu"', '"leaky_relu"'))
    parameters = (study / "params.yaml").read_text(encoding="utf-8")
    recipe.write("params.yaml", parameters.replace("networks/mlp.py\n", "networks/leaky.py\n"))

    assert repro(study) == ["check", *TRAINED]

    after = outputs(study)
    assert before.keys() == after.keys()
    changed = {path.partition("/")[0] for path in before if before[path] != after[path]}
    assert changed == {"range_test", "report", "runs"}
    assert run_pipeline(study, "publish", "--dry-run").returncode == 0
    assert "up to date" in run_dvc(study, "status").stdout
    recipe.check("tests/train/test_training.py", "tests/range_test")


STAGE = '''\
"""Stage `ending`: the validation loss at the end of each run, from the runs to a JSON file."""

from pathlib import Path

import numpy as np

from pipeline import params
from pipeline.core import files
from pipeline.core import runs as run_folders
from pipeline.report.analysis import statistics


def ending(runs: Path, ending: Path) -> None:
    """Write ending.json into `ending`: by rate, the mean of the last epochs' validation losses."""
    study = params.load()
    content = {}
    for rate in study.train.learning_rates:
        histories = [run_folders.read(runs, rate, seed).history for seed in study.train.seeds]
        losses = np.array([history["val_loss"].tail(study.ending.epochs).mean() for history in histories])
        content[str(rate)] = float(statistics.mean(losses))
    with files.replacing_folder(ending) as folder:
        files.write_json(folder / "ending.json", content)
'''

COMMAND = """\
    "ending": Command(
        "pipeline.ending.stage", "stage: how the runs of each rate end", _paths("runs", "ending")
    ),
"""

MODEL = '''\
class EndingParams(Section):
    """What counts as a run's end.

    Attributes:
        epochs: how many of the last ones, at least 1.
    """

    epochs: Epochs


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
      - pipeline/core
      - pipeline/ending
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

from pipeline.core import arrays, files, runs
from pipeline.ending.stage import ending
from pipeline.params import reading
from tests.conftest import ROOT


def test_the_last_epochs_are_averaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(ROOT / "params.yaml", "params.yaml")
    reading.override(Path("params.yaml"), {"train.learning_rates": [0.1], "train.seeds": [0]})
    folder = runs.folder(Path("runs"), 0.1, 0)
    runs.write_history(folder / runs.HISTORY, runs.CURVES, [(0, 0, loss, 0) for loss in (9.0, 2.0, 1.0)])
    files.write_json(folder / runs.METRICS, {"learning_rate": 0.1, "seed": 0})
    arrays.write(folder / runs.PREDICTIONS, np.zeros(1, np.int32))

    ending(Path("runs"), Path("ending"))

    assert json.loads(Path("ending/ending.json").read_text()) == {"0.1": 1.5}
'''


def test_a_stage_runs_alone_and_the_contract_says_what_it_depends_on(study: Path) -> None:
    recipe = Recipe(study, "Add a stage", name="ending")
    recipe.write("pipeline/ending/__init__.py", '"""Stage `ending`: how each run ends."""\n')
    recipe.write("pipeline/ending/stage.py", STAGE)
    recipe.edit("pipeline/__main__.py", '    "summary": Command(', COMMAND)
    recipe.edit("pyproject.toml", '    "report",\n', '    "ending",\n')
    recipe.edit("dvc.yaml", "metrics:\n", DEFINITION)
    recipe.edit(
        "params.yaml",
        "# Thresholds of the verdict.\n",
        "ending:\n  # How many of a run's last epochs count as its end, 1 to 1000000.\n  epochs: 2\n\n",
    )
    models = "pipeline/params/models.py"
    recipe.edit(models, "class Params(Section)", MODEL)
    recipe.edit(models, "    report: ReportParams\n", "    ending: EndingParams\n")
    recipe.write("tests/ending/test_ending.py", TEST)

    contract = run(study, "pytest", "-vv", "-p", "no:xdist", "tests/test_contract.py", "-k", "depends").stdout
    (asked,) = re.findall(r"^E +AssertionError: assert not (.*)$", contract, re.MULTILINE)
    missing = re.findall(r"'(pipeline/[\w/]+\.py)'", asked)
    assert missing == ["pipeline/report/analysis/statistics.py"], contract
    recipe.edit("dvc.yaml", "    outs:\n      - ending\n", "".join(f"      - {path}\n" for path in missing))

    assert repro(study) == ["check", "ending"]  # check depends on the models of params.yaml

    ends = json.loads((study / "ending/ending.json").read_text())
    losses = [*map(float, column(study / "runs/lr-0.01/seed-0/history.csv", "val_loss"))]
    assert ends["0.01"] == pytest.approx(sum(losses[1:]) / 2)
    assert len(ends) == 2
    recipe.check("tests/ending/test_ending.py")


def arrays(study: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (study / "data/scaled").glob("*.npy")}


def test_a_data_set_is_fetched_checked_and_studied(study: Path, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    shutil.copytree(study / "data/raw", mirror)
    before = arrays(study)

    def file(facts: File) -> str:
        content = (mirror / facts.name).read_bytes()
        packed = f'Published({len(content)}, "{hashlib.sha256(content).hexdigest()}")'
        return f'File(\n"{facts.name}",\n"{facts.content_sha256}",\n{packed}),\n'

    def part(facts: Part) -> str:
        return f"Part({file(facts.images)}{file(facts.labels)}{facts.class_counts}),\n"

    recipe = Recipe(study, "Add a data set", name="again")
    facts = "pipeline/core/datasets.py"
    definition = f'AGAIN = Dataset("again", "Again", {part(DIGITS.train)}{part(DIGITS.test)})\n\n'
    recipe.edit(facts, "DATASETS = {", definition)
    recipe.edit(facts, "DIGITS)}\n", "AGAIN, ")
    models = "pipeline/params/models.py"
    recipe.edit(models, '"digits", "own"]', '"again", ')
    recipe.edit(models, "    kmnist: Sources\n", "    again: Sources\n")
    recipe.edit("params.yaml", "  dataset:", "  # again: the same once more, fetched.\n")
    recipe.edit("params.yaml", "    kmnist:\n", f"    again:\n      - {mirror}\n")
    recipe.write("data/again/README.md", "# Again\n\nThe same once more.\n")
    small = (study / "params.yaml").read_text(encoding="utf-8")
    usual = (ROOT / "params.yaml").read_text(encoding="utf-8")  # that its tests are about
    recipe.write(
        "params.yaml", usual.replace("    kmnist:\n", f"    again:\n      - {mirror}\n    kmnist:\n")
    )
    recipe.check("tests/params/test_params.py", "tests/download/test_datasets.py")
    recipe.write("params.yaml", small)
    reading.override(study / "params.yaml", {"data.dataset": "again"})

    done = run_dvc(study, "repro")

    assert done.returncode == 0, done.stderr
    assert "4 of 4 again files" in done.stdout
    assert arrays(study) == before
    assert json.loads((study / "report/verdict.json").read_text())["dataset"] == "again"
    (mirror / DIGITS.test.labels.name).write_bytes(b"something else")
    shutil.rmtree(study / "data/raw")
    assert run_pipeline(study, "download", "data/raw").returncode == 75
