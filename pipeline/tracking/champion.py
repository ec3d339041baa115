"""The verdict's model in MLflow's registry, under the alias `champion`.

The alias follows the evidence and nothing else: a person who moves it by hand keeps their choice until the
study says something new.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.tracking import study
from pipeline.tracking.record import Entry
from pipeline.tracking.store import Store, is_conflict, is_missing

ALIAS = "champion"
_EVIDENCE = "evidence"


class Candidate(NamedTuple):
    """The model that the verdict is about.

    Attributes:
        entry: of the run that made it.
        verdict: the content of verdict.json.
    """

    entry: Entry
    seed: int
    verdict: Mapping[str, Any]

    def evidence(self) -> str:
        """Hash of all that speaks for the model: the verdict, the run, its outputs."""
        content = json.dumps([self.verdict, self.entry.key, self.entry.digest], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


def choose(verdict: Mapping[str, Any], entries: Mapping[tuple[float, int], Entry]) -> Candidate | None:
    """Of the chosen rate's runs, the one with the highest validation accuracy at its end.

    The end is what its model file holds, whatever its best epoch was. None if the verdict chooses no rate,
    or none of the runs there are.
    """
    candidates = {seed: one for (rate, seed), one in entries.items() if rate == verdict["learning_rate"]}
    if not candidates:
        return None
    accuracy = {seed: _final_accuracy(one) for seed, one in candidates.items()}
    best = min(candidates, key=lambda seed: (-accuracy[seed], seed))
    return Candidate(candidates[best], best, verdict)


def is_current(store: Store, name: str, candidate: Candidate) -> bool:
    """Whether the registry already shows this evidence, by a run that nobody deleted."""
    client, evidence = store.client, candidate.evidence()
    try:
        if client.get_registered_model(name).tags.get(_EVIDENCE) != evidence:
            return False
        return any(
            client.get_run(version.run_id).info.lifecycle_stage == "active"
            for version in client.search_model_versions(f"name = '{name}'")
            if version.tags.get(_EVIDENCE) == evidence
        )
    except Exception as error:
        if is_missing(error):
            return False
        raise


def crown(store: Store, name: str, candidate: Candidate, run: Any) -> str:
    """Register the candidate, unless it is, and move the alias to it.

    Args:
        run: MLflow's run of the candidate, as `store.client.get_run` gives it.

    Returns:
        The version.
    """
    client, evidence = store.client, candidate.evidence()
    try:
        client.create_registered_model(name, description=_description(candidate.entry.params["dataset"]))
    except Exception as error:
        if not is_conflict(error):
            raise
    known = [
        version
        for version in client.search_model_versions(f"name = '{name}'")
        if version.tags.get(_EVIDENCE) == evidence and version.run_id == run.info.run_id
    ]
    version = str(known[0].version) if known else _register(store, name, candidate, run)
    client.set_registered_model_alias(name, ALIAS, version)
    client.set_registered_model_tag(name, _EVIDENCE, evidence)
    return version


def _register(store: Store, name: str, candidate: Candidate, run: Any) -> str:
    (model,) = run.outputs.model_outputs
    verdict = candidate.verdict
    tags = {
        _EVIDENCE: candidate.evidence(),
        "run_key": candidate.entry.key,
        "learning_rate": str(verdict["learning_rate"]),
        "seed": str(candidate.seed),
        "verdict": str(verdict.get("headline") or f"Learning rate {verdict['learning_rate']}."),
        **{
            f"reason.{number}": str(line)[:1000]
            for number, line in enumerate(verdict.get("reasons") or (), 1)
        },
        **{
            f"warning.{number}": str(line)[:1000]
            for number, line in enumerate(verdict.get("warnings") or (), 1)
        },
    }
    for metric in ("final_val_accuracy", "test_accuracy"):
        if metric in run.data.metrics:
            tags[metric] = str(run.data.metrics[metric])
    store.make_default()  # MLflow's registry asks the process' default store for the model, not the client's
    version = store.client.create_model_version(
        name,
        source=f"models:/{model.model_id}",
        run_id=run.info.run_id,
        tags=tags,
        description=study.words(verdict),
        model_id=model.model_id,
    )
    return str(version.version)


def _final_accuracy(one: Entry) -> float:
    return next((row.value for row in one.rows if row.key == "final_val_accuracy"), float("-inf"))


def _description(dataset: str) -> str:
    return (
        f"Handwritten digits ({dataset}): images of 28 x 28 grey levels from 0 (paper) to 255 (ink) in, "
        f"the probabilities of the ten digits out. `{ALIAS}` is of the learning rate that the study chose."
    )
