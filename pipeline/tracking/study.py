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
from pipeline.tracking.record import Entry, Row

VERDICT = "verdict.json"
_NUMBERS = ("test_accuracy", "p_best", "probability_best", "roughness", "rising_share")


def study_id(run_keys: Iterable[str]) -> str:
    """Twelve digits that stand for a set of runs."""
    return hashlib.sha256("\n".join(sorted(run_keys)).encode()).hexdigest()[:12]


def membership(study: str) -> str:
    """The tag of the study's runs. A run may belong to several studies: one more rate is another study."""
    return f"study.{study}"


def read_verdict(report: Path) -> dict[str, Any]:
    """Raises:
    RunError: there is no report.
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


def of_report(params: Params, study: str, report: Path) -> Entry:
    """The entry that stands for the study.

    Raises:
        RunError, DataError: see `read_verdict`.
    """
    verdict = read_verdict(report)
    values = {
        "learning_rates": json.dumps(params.train.learning_rates),
        "seeds": json.dumps(params.train.seeds),
    } | record.shared_params(params)
    key = f"study-{study}"
    return Entry(
        key=key,
        kind="study",
        name=f"report of study {study}",
        params=values,
        rows=tuple(_rows(verdict)),
        tags={
            "run_key": key,
            "kind": "study",
            "dataset": params.data.dataset,
            "mlflow.note.content": words(verdict),
        },
        digest=record.digest(values, report),
        write_artifacts=lambda place: _copy(report, place),
    )


def words(verdict: Mapping[str, Any]) -> str:
    """The verdict's sentences as Markdown, at most 5,000 characters."""
    sentences = [verdict["headline"], *verdict.get("detail", ())] if verdict.get("headline") else []
    listed = [f"- {line}" for key in ("warnings", "reasons") for line in verdict.get(key) or ()]
    rate = verdict["learning_rate"]
    return "\n".join([*(sentences or [f"Learning rate {rate}."]), "", *listed]).strip()[:5000]


def _rows(verdict: Mapping[str, Any]) -> list[Row]:
    """The chosen rate, and what the verdict says of each rate, as `<number>/lr-<rate>`."""
    rows = []
    if verdict["learning_rate"] is not None:
        rows.append(Row("learning_rate", float(verdict["learning_rate"]), 0))
    for name, numbers in (verdict.get("rates") or {}).items():
        accuracy = numbers.get("validation_accuracy") or {}
        values = {key: numbers.get(key) for key in _NUMBERS} | {"validation_accuracy": accuracy.get("mean")}
        rows += [Row(f"{key}/{name}", float(value), 0) for key, value in values.items() if value is not None]
    return rows


def _copy(report: Path, place: Path) -> None:
    shutil.copytree(report, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".gitignore"))
