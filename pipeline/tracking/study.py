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
from pipeline.tracking.record import Record, Row

VERDICT = "verdict.json"
_NUMBERS = ("test_accuracy", "p_best", "probability_best", "roughness", "rising_share")


def study_id(run_keys: Iterable[str]) -> str:
    """Make twelve digits that stand for a set of runs."""
    return hashlib.sha256("\n".join(sorted(run_keys)).encode()).hexdigest()[:12]


def membership(study: str) -> str:
    """Name the tag of a study's runs. A run may belong to several: one more rate makes another study."""
    return f"study.{study}"


def read_verdict(report: Path) -> dict[str, Any]:
    """Read the verdict in the report's folder.

    Raises:
        RunError: there is no report, or its verdict names no rate.
        DataError: its verdict is damaged.
    """
    if not (report / VERDICT).is_file():
        raise RunError(f"{report}: expected the study's report, found none. Run `dvc repro` to make it.")
    verdict = files.read_json(report / VERDICT)
    if not isinstance(verdict, dict) or "learning_rate" not in verdict:
        raise RunError(
            f"{report / VERDICT}: expected the key learning_rate, got {str(verdict)[:80]}. "
            "Run `dvc repro -f report` to make it again."
        )
    return verdict


def of_report(params: Params, study: str, report: Path, verdict: Mapping[str, Any]) -> Record:
    """Make the record that stands for the study."""
    values = {
        "learning_rates": json.dumps(params.train.learning_rates),
        "seeds": json.dumps(params.train.seeds),
    } | record.shared_params(params)
    return Record(
        key=f"study-{study}",
        name=f"report of study {study}",
        params=values,
        rows=tuple(_rows(verdict)),
        tags={"kind": "study", "dataset": params.data.dataset, "mlflow.note.content": note(verdict)},
        digest=record.digest(values, report),
        write_artifacts=lambda target: shutil.copytree(
            report, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".gitignore")
        ),
    )


def note(verdict: Mapping[str, Any]) -> str:
    """Write the verdict's sentences as Markdown, at most 5,000 characters."""
    headline = verdict.get("headline")
    sentences = (
        [headline, *verdict.get("detail", ())] if headline else [f"Learning rate {verdict['learning_rate']}."]
    )
    listed = [f"- {line}" for key in ("warnings", "reasons") for line in verdict.get(key) or ()]
    return "\n".join([*sentences, "", *listed]).strip()[:5000]


def _rows(verdict: Mapping[str, Any]) -> list[Row]:
    """Make rows of the chosen rate, and of the verdict's numbers on each rate, as `<number>/lr-<rate>`."""
    values = {"learning_rate": verdict["learning_rate"]}
    for name, numbers in (verdict.get("rates") or {}).items():
        accuracy = numbers.get("validation_accuracy") or {}
        values |= {f"{key}/{name}": numbers.get(key) for key in _NUMBERS}
        values[f"validation_accuracy/{name}"] = accuracy.get("mean")
    return [Row(key, float(value), 0) for key, value in values.items() if value is not None]
