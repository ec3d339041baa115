"""The verdict's model in MLflow's registry, under the alias `champion`.

The alias follows the evidence and nothing else: a person who moves it by hand keeps their choice until the
study has new evidence.
"""

# ruff: noqa: TID251 - the package that imports MLflow

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pipeline.core import run_keys
from pipeline.tracking import model, study
from pipeline.tracking.data import Data
from pipeline.tracking.record import Record
from pipeline.tracking.store import Store, may_exist

ALIAS = "champion"
_EVIDENCE = "evidence"


class Candidate(NamedTuple):
    """The model that the verdict, the content of verdict.json, chooses: its run's record."""

    record: Record
    verdict: Mapping[str, Any]

    @property
    def model_name(self) -> str:
        return f"{self.record.params['dataset']}-classifier"

    @property
    def evidence(self) -> str:
        """Hash all that speaks for the model: the verdict, the run, its outputs."""
        return run_keys.digest([self.verdict, self.record.key, self.record.digest])


def find_candidate(verdict: Mapping[str, Any], records: Iterable[Record]) -> Candidate | None:
    """Choose, of the chosen rate's runs, the one whose model, that of the epoch kept, validates best.

    None if the verdict chooses no rate, or none of these runs.
    """

    def order(run: Record) -> tuple[float, int]:
        return _numbers(run).get("kept_val_accuracy", float("-inf")), -int(run.params["seed"])

    rate = str(verdict["learning_rate"])
    best = max((run for run in records if run.params["learning_rate"] == rate), key=order, default=None)
    return Candidate(best, verdict) if best else None


def is_current(store: Store, candidate: Candidate, runs: list[Any]) -> bool:
    """Decide whether the registry already holds this evidence, by one of the candidate's runs in MLflow."""
    models = store.client.search_registered_models(f"name = '{candidate.model_name}'") if runs else ()
    known = [registered.tags.get(_EVIDENCE) for registered in models]
    return candidate.evidence in known and bool(_versions(store, candidate, runs))


def promote(store: Store, candidate: Candidate, data: Data, run: Any) -> str:
    """Move the alias to the candidate, registered by its run in MLflow; return the version."""
    client, name = store.client, candidate.model_name
    with may_exist():
        client.create_registered_model(name)
    client.update_registered_model(name, _describe(data))
    versions = _versions(store, candidate, [run]) or [_register(store, candidate, run)]
    version = str(versions[0].version)
    client.set_registered_model_alias(name, ALIAS, version)
    client.set_registered_model_tag(name, _EVIDENCE, candidate.evidence)
    return version


def _versions(store: Store, candidate: Candidate, runs: list[Any]) -> list[Any]:
    condition = f"name = '{candidate.model_name}' AND tags.{_EVIDENCE} = '{candidate.evidence}'"
    run_ids = {run.info.run_id for run in runs}
    return [item for item in store.client.search_model_versions(condition) if item.run_id in run_ids]


def _register(store: Store, candidate: Candidate, run: Any) -> Any:
    import mlflow

    record, verdict = candidate
    tags = {name: record.params[name] for name in ("learning_rate", "seed")}
    tags |= {_EVIDENCE: candidate.evidence, "run_key": record.key, "verdict": verdict["headline"]}
    for kind in ("reason", "warning"):
        for number, line in enumerate(verdict.get(f"{kind}s", ()), 1):
            tags[f"{kind}.{number}"] = line[:1000]
    numbers = _numbers(record)
    tags |= {name: str(numbers[name]) for name in ("kept_val_accuracy", "test_accuracy") if name in numbers}
    (logged,) = run.outputs.model_outputs
    mlflow.set_tracking_uri(store.client.tracking_uri)  # the registry asks this store for the model
    origin = {"source": f"models:/{logged.model_id}", "model_id": logged.model_id, "run_id": run.info.run_id}
    content = {"tags": tags, "description": study.markdown(verdict)}
    return store.client.create_model_version(candidate.model_name, **origin, **content)


def _describe(data: Data) -> str:
    task, shape = data.task, " x ".join(map(str, model.raw_shape(data.task)))
    numbers = "grey levels from 0 to 255" if task.scaling.levels else "numbers"
    return (
        f"{data.title}: {task.example}s of {shape} {numbers} in, the probabilities of {len(task.classes)} "
        f"classes out. `{ALIAS}` was trained at the learning rate that the study chose. "
        f"The classes: {', '.join(task.classes)}"[:5000]  # what MLflow takes
    )


def _numbers(run: Record) -> dict[str, float]:
    return {row.key: row.value for row in run.numbers}
