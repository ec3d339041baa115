"""From the outputs of a study to MLflow; what `publish` does once it knows where everything is."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline import identity
from pipeline.errors import DataError, PipelineError, RunError
from pipeline.params import Params
from pipeline.tracking import champion, delivery, entry, facts, place, study
from pipeline.tracking.delivery import Outcome
from pipeline.tracking.entry import Entry
from pipeline.tracking.journal import Journal
from pipeline.tracking.owner import Owner
from pipeline.tracking.store import Store


class Step(NamedTuple):
    """One thing done, or found to be right.

    Attributes:
        what: a run's name, `report` or `champion`.
        outcome: in a word or two.
        change: whether MLflow is another now (or would be).
        problem: whether the outputs leave something to be wished; then `outcome` is the error's text.
    """

    what: str
    outcome: str
    change: bool = False
    problem: bool = False


class Study(NamedTuple):
    """Where the study's outputs are, and what they should be.

    Attributes:
        runs, report: the folders of the outputs.
    """

    params: Params
    runs: Path
    report: Path


def publish(outputs: Study, store: Store | None, *, dry_run: bool = False) -> Iterator[Step]:
    """Make MLflow agree with the outputs, step by step.

    Args:
        store: None is a store that does not exist yet, in a dry run.
    """
    index = store.index() if store else {}
    entries: dict[tuple[float, int], Entry] = {}
    inputs = _inputs(outputs.params)
    for rate in outputs.params.train.learning_rates:
        for seed in outputs.params.train.seeds:
            try:
                entries[rate, seed] = _entry(outputs, rate, seed, inputs)
            except RunError as error:
                yield Step(entry.run_name(rate, seed), str(error), problem=True)
    name = study.study_id(one.key for one in entries.values())
    commit = facts.commit() if inputs else {}
    complete = len(entries) == len(outputs.params.train.learning_rates) * len(outputs.params.train.seeds)
    for one in entries.values():
        yield _publish_run(store, one, index.get(one.key, []), name, commit, dry_run=dry_run)
    if store:
        keys = {one.key for one in entries.values()}
        yield from _bury(store, index, keys, dry_run=dry_run)
    if complete:
        yield from _publish_report(outputs, store, entries, index, name, dry_run=dry_run)


def _inputs(params: Params) -> dict[str, Any] | None:
    """What the checkout would train from; None where a part is not there, as after pulling runs only."""
    try:
        return identity.inputs(params)
    except (OSError, PipelineError):
        return None


def _entry(outputs: Study, rate: float, seed: int, inputs: dict[str, Any] | None) -> Entry:
    one = entry.of_run(outputs.params, outputs.runs, rate, seed)
    if inputs and one.key != identity.digest(inputs | {"learning_rate": rate, "seed": seed}):
        raise RunError(
            f"the run with learning rate {rate} and seed {seed} was trained from other parameters, data or "
            "code than there are now, and is left as it is. `dvc repro` trains it again."
        )
    return one


def _publish_run(
    store: Store | None,
    one: Entry,
    known: list[Any],
    study_name: str,
    commit: Mapping[str, str],
    *,
    dry_run: bool,
) -> Step:
    tag = study.membership(study_name)
    if store is None or dry_run:
        outcome = delivery.foresee(one, known)
    else:
        journal = Journal.read(one.key) or Journal(None, None, dict(commit))
        outcome = delivery.deliver(store, one, known, journal, {tag: "yes"})
    listed = outcome is Outcome.UNCHANGED and not any(tag in run.data.tags for run in known)
    if listed and store and not dry_run:
        for run in known:
            store.client.set_tag(run.info.run_id, tag, "yes")
    change = listed or outcome not in (Outcome.UNCHANGED, Outcome.BUSY)
    return Step(one.name, "listed in this study" if listed else outcome.value, change)


def _bury(store: Store, index: Mapping[str, list[Any]], keys: set[str], *, dry_run: bool) -> Iterator[Step]:
    """Mark as KILLED what claims to be running and is dead."""
    for key, runs in index.items():
        for run in runs:
            owner = Owner.read(run.data.tags)
            if key in keys or run.info.status != "RUNNING" or (owner and owner.is_alive()):
                continue
            if not dry_run:
                delivery.finish(store, run, "KILLED")
            yield Step(run.info.run_name, "was dead, marked KILLED", change=True)


def _publish_report(
    outputs: Study,
    store: Store | None,
    entries: Mapping[tuple[float, int], Entry],
    index: Mapping[str, list[Any]],
    study_name: str,
    *,
    dry_run: bool,
) -> Iterator[Step]:
    try:
        whole = study.of_report(outputs.params, study_name, outputs.report)
        verdict = study.read_verdict(outputs.report)
    except (RunError, DataError) as error:
        yield Step("report", str(error), problem=True)
        return
    known = index.get(whole.key, [])
    if store is None or dry_run:
        outcome = delivery.foresee(whole, known)
    else:
        outcome = delivery.deliver(store, whole, known, Journal(None, None, facts.commit()))
    yield Step("report", outcome.value, outcome is not Outcome.UNCHANGED)

    candidate = champion.choose(verdict, entries)
    if candidate is None:
        yield Step("champion", "as it was: the verdict chooses none of these runs")
        return
    name = place.model(outputs.params.data.dataset)
    if store and champion.is_current(store, name, candidate):
        yield Step("champion", Outcome.UNCHANGED.value)
        return
    if store is None or dry_run:
        yield Step("champion", f"moved to {candidate.entry.name}", change=True)
        return
    runs = store.find(candidate.entry.key)
    if not runs or runs[0].info.status != "FINISHED":
        yield Step("champion", f"as it was: another process is delivering {candidate.entry.name}")
        return
    version = champion.crown(store, name, candidate, store.client.get_run(runs[0].info.run_id))
    yield Step("champion", f"moved to {candidate.entry.name}, version {version} of {name}", change=True)
