"""The verdict's model in MLflow's registry, under the alias `champion`.

The alias follows the evidence and nothing else: a person who moves it by hand keeps their choice until the
study has new evidence.
"""

# ruff: noqa: TID251 - the package that imports MLflow

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.tracking import study
from pipeline.tracking.record import Record
from pipeline.tracking.store import Store, is_conflict

ALIAS = "champion"
_EVIDENCE = "evidence"


class Candidate(NamedTuple):
    """The model that the verdict chooses: its run's record and seed, and the content of verdict.json."""

    record: Record
    seed: int
    verdict: Mapping[str, Any]

    def evidence(self) -> str:
        """Hash all that speaks for the model: the verdict, the run, its outputs."""
        content = json.dumps([self.verdict, self.record.key, self.record.digest], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


def choose(verdict: Mapping[str, Any], records: Mapping[tuple[float, int], Record]) -> Candidate | None:
    """Choose, of the chosen rate's runs, the one with the highest validation accuracy at its end.

    The end is what its model file holds, whatever its best epoch was. None if the verdict chooses no rate, or
    none of these runs.
    """
    candidates = [(run, seed) for (rate, seed), run in records.items() if rate == verdict["learning_rate"]]
    best = min(candidates, key=lambda pair: (-_final_accuracy(pair[0]), pair[1]), default=None)
    return Candidate(*best, verdict) if best else None


def is_current(store: Store, name: str, candidate: Candidate, runs: list[Any]) -> bool:
    """Whether the registry already holds this evidence, by one of the candidate's runs in MLflow."""
    models = store.client.search_registered_models(f"name = '{name}'")
    current = any(model.tags.get(_EVIDENCE) == candidate.evidence() for model in models)
    return current and bool(_versions(store, name, candidate, runs))


def promote(store: Store, name: str, candidate: Candidate, run: Any) -> str:
    """Move the alias to the candidate, registered by its run in MLflow; return the version."""
    client = store.client
    try:
        client.create_registered_model(name, description=_description(candidate.record.params["dataset"]))
    except Exception as error:
        if not is_conflict(error):
            raise
    known = _versions(store, name, candidate, [run])
    version = str((known[0] if known else _register(store, name, candidate, run)).version)
    client.set_registered_model_alias(name, ALIAS, version)
    client.set_registered_model_tag(name, _EVIDENCE, candidate.evidence())
    return version


def _versions(store: Store, name: str, candidate: Candidate, runs: list[Any]) -> list[Any]:
    evidence, run_ids = candidate.evidence(), {run.info.run_id for run in runs}
    versions = store.client.search_model_versions(f"name = '{name}'")
    return [item for item in versions if item.tags.get(_EVIDENCE) == evidence and item.run_id in run_ids]


def _register(store: Store, name: str, candidate: Candidate, run: Any) -> Any:
    import mlflow

    (model,) = run.outputs.model_outputs
    verdict = candidate.verdict
    tags = {
        _EVIDENCE: candidate.evidence(),
        "run_key": candidate.record.key,
        "learning_rate": str(verdict["learning_rate"]),
        "seed": str(candidate.seed),
        "verdict": str(verdict.get("headline") or f"Learning rate {verdict['learning_rate']}."),
    }
    for kind in ("reason", "warning"):
        for number, line in enumerate(verdict.get(f"{kind}s") or (), 1):
            tags[f"{kind}.{number}"] = str(line)[:1000]
    for metric in ("final_val_accuracy", "test_accuracy"):
        if metric in run.data.metrics:
            tags[metric] = str(run.data.metrics[metric])
    mlflow.set_tracking_uri(store.uri)  # the registry asks the process's default store for the model
    return store.client.create_model_version(
        name,
        source=f"models:/{model.model_id}",
        run_id=run.info.run_id,
        tags=tags,
        description=study.note(verdict),
        model_id=model.model_id,
    )


def _final_accuracy(run: Record) -> float:
    return next((row.value for row in run.rows if row.key == "final_val_accuracy"), float("-inf"))


def _description(dataset: str) -> str:
    return (
        f"Handwritten digits ({dataset}): images of 28 x 28 grey levels from 0 (paper) to 255 (ink) in, "
        f"the probabilities of the ten digits out. `{ALIAS}` is of the learning rate that the study chose."
    )
