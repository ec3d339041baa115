"""The study as a whole in MLflow: which runs belong to it, and a run of its own for the report."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.core import files
from pipeline.core.errors import RunError
from pipeline.params import Params
from pipeline.tracking import record
from pipeline.tracking.record import Record

_NUMBERS = ("test_accuracy", "dependable", "p_best", "roughness", "rising_share")


def study_id(run_keys: Iterable[str]) -> str:
    """Make twelve digits that stand for a set of runs."""
    return hashlib.sha256("\n".join(sorted(run_keys)).encode()).hexdigest()[:12]


def membership(study: str) -> str:
    """Name the tag of a study's runs. A run may belong to several: one more rate makes another study."""
    return f"study.{study}"


def read_verdict(report: Path) -> dict[str, Any]:
    """Read the verdict in the report's folder.

    Raises:
        RunError: there is no report, or it is of another program.
        DataError: its verdict is damaged.
    """
    path = report / "verdict.json"
    if not path.is_file():
        raise RunError(f"{report}: expected the study's report, got none. Run `dvc repro` to make it.")
    verdict = files.read_json(path)
    if not isinstance(verdict, dict) or not {"learning_rate", "headline"} <= verdict.keys():
        raise RunError(
            f"{path}: expected learning_rate and headline, got {str(verdict)[:80]}. "
            "Run `dvc repro -f report` to make it again."
        )
    return verdict


def of_report(params: Params, study: str, report: Path, verdict: Mapping[str, Any]) -> Record:
    """Make the record that stands for the study: the verdict's numbers on rate r are `<number>/lr-<r>`."""
    grid = {name: json.dumps(getattr(params.train, name)) for name in ("learning_rates", "seeds")}
    values = grid | record.shared_params(params)
    numbers = {"learning_rate": verdict["learning_rate"], "epoch": 0}
    for name, rate in verdict.get("rates", {}).items():
        numbers |= {f"{key}/{name}": rate.get(key) for key in _NUMBERS}
        numbers[f"validation_accuracy/{name}"] = rate.get("validation_accuracy", {}).get("mean")
    return Record(
        key=f"study-{study}",
        name=f"report of study {study}",
        params=values,
        rows=tuple(record.finite_rows(numbers)),
        tags={"kind": "study", "dataset": params.data.dataset, "mlflow.note.content": markdown(verdict)},
        digest=record.outputs_digest(values, report),
        write_artifacts=lambda target: shutil.copytree(
            report, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".gitignore")
        ),
    )


def markdown(verdict: Mapping[str, Any]) -> str:
    """Write the verdict's sentences as Markdown, at most 5,000 characters."""
    listed = [f"- {line}" for key in ("warnings", "reasons") for line in verdict.get(key, ())]
    return "\n".join([verdict["headline"], *verdict.get("detail", ()), "", *listed]).strip()[:5000]
