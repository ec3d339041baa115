"""The study as a whole in MLflow: which runs belong to it, and a run of its own for the report."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.core import files
from pipeline.core.errors import RunError
from pipeline.params import Params
from pipeline.tracking import record
from pipeline.tracking.record import Record, Row

_NUMBERS = ("test_accuracy", "dependable", "p_best", "roughness", "rising_share")


def study_id(run_keys: Iterable[str]) -> str:
    """Make twelve digits that stand for a set of runs."""
    return hashlib.sha256("\n".join(sorted(run_keys)).encode()).hexdigest()[:12]


def membership(study: str) -> str:
    """Name the tag of a study's runs. A run may belong to several: one more rate makes another study."""
    return f"study.{study}"


def run_key(study: str) -> str:
    """Give the key of the study's own run."""
    return f"study-{study}"


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
    """Make the record that stands for the study.

    The verdict's numbers on rate r are `<number>/lr-<r>`, its status the tag `status/lr-<r>`. The criterion's
    mean and interval are curves besides, `by_rate_...`, with a step for each rate: the UI can draw studies
    over the rate.
    """
    grid = {name: json.dumps(getattr(params.train, name)) for name in ("learning_rates", "seeds")}
    values = grid | record.shared_params(params)
    chosen = verdict["learning_rate"]
    numbers, tags, rows = {"learning_rate": chosen, "epoch": 0}, dict[str, str](), list[Row]()
    rates = {float(name.removeprefix("lr-")): rate for name, rate in verdict.get("rates", {}).items()}
    for step, (rate, shown) in enumerate(sorted(rates.items())):
        name, interval = f"lr-{rate}", shown.get("validation_accuracy", {})
        spread = {"": interval.get("mean"), "_low": interval.get("low"), "_high": interval.get("high")}
        numbers |= {f"{key}/{name}": shown.get(key) for key in _NUMBERS}
        numbers |= {f"validation_accuracy{end}/{name}": value for end, value in spread.items()}
        if rate == chosen:
            numbers |= {f"chosen{end}": value for end, value in spread.items()}
        curves = {f"by_rate_validation_accuracy{end}": value for end, value in spread.items()}
        rows += record.finite_rows(curves | {"by_rate_log10": math.log10(rate), "epoch": step})
        tags[record.valid_name(f"status/{name}")] = shown.get("status", "")
    return Record(
        key=run_key(study),
        name=f"{params.data.dataset}, {params.optimizer.name}, study {study}",
        params=values,
        numbers=[*rows, *record.finite_rows(numbers)],
        tags=tags
        | {"kind": "study", "dataset": params.data.dataset, "mlflow.note.content": markdown(verdict)},
        digest=record.outputs_digest(values, report),
        files={
            path.relative_to(report).as_posix(): path
            for path in report.rglob("*")
            if path.is_file() and path.name != ".gitignore"
        },
    )


def markdown(verdict: Mapping[str, Any]) -> str:
    """Write the verdict's sentences as Markdown, at most 5,000 characters."""
    listed = [f"- {line}" for key in ("warnings", "reasons") for line in verdict.get(key, ())]
    return "\n".join([verdict["headline"], *verdict.get("detail", ()), "", *listed]).strip()[:5000]
