"""From the outputs of a study to MLflow; what `publish` does once it knows where everything is."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.core import run_keys
from pipeline.core.errors import DataError, PipelineError, RunError
from pipeline.params import Params
from pipeline.tracking import address, champion, facts, record, study, sync, view
from pipeline.tracking.journal import Journal
from pipeline.tracking.lease import Owner
from pipeline.tracking.record import Entry
from pipeline.tracking.store import Store
from pipeline.tracking.sync import Outcome


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
    """The study's outputs as far as they are there.

    Attributes:
        report: the folder of the report.
        entries: by learning rate and seed; only runs that are as params.yaml, code and data want them.
        problems: one for each of the other runs.
        commit: tags that name the checkout's commit, if it is known to be what the runs were made from.
    """

    params: Params
    report: Path
    entries: dict[tuple[float, int], Entry]
    problems: list[Step]
    commit: dict[str, str]

    @property
    def name(self) -> str:
        return study.study_id(one.key for one in self.entries.values())


def gather(params: Params, runs: Path, report: Path) -> Study:
    """Read the configured runs; never a run that merely lies there."""
    entries: dict[tuple[float, int], Entry] = {}
    problems = []
    inputs = _inputs(params)
    for rate in params.train.learning_rates:
        for seed in params.train.seeds:
            try:
                entries[rate, seed] = _entry(params, runs, rate, seed, inputs)
            except RunError as error:
                problems.append(Step(record.run_name(rate, seed), str(error), problem=True))
    return Study(params, report, entries, problems, facts.commit() if inputs else {})


def publish(outputs: Study, store: Store | None, *, dry_run: bool = False) -> Iterator[Step]:
    """Make MLflow agree with the outputs, step by step.

    Args:
        store: None is a store that does not exist yet, in a dry run.
    """
    yield from outputs.problems
    index = store.index() if store else {}
    for one in outputs.entries.values():
        yield _publish_run(store, one, index.get(one.key, []), outputs, dry_run=dry_run)
    if store:
        yield from _bury(store, index, {one.key for one in outputs.entries.values()}, dry_run=dry_run)
        if outputs.entries:
            fresh = view.share(store, outputs.name, dry_run=dry_run)
            yield Step("comparison page", "prepared" if fresh else Outcome.UNCHANGED.value, fresh)
    if not outputs.problems:
        yield from _publish_report(outputs, store, index, dry_run=dry_run)


def _inputs(params: Params) -> dict[str, Any] | None:
    """What the checkout would train from; None where a part is not there, as after pulling runs only."""
    try:
        return run_keys.inputs(params.values())
    except (OSError, PipelineError):
        return None


def _entry(params: Params, runs: Path, rate: float, seed: int, inputs: dict[str, Any] | None) -> Entry:
    one = record.of_run(params, runs, rate, seed)
    if inputs and one.key != run_keys.digest(inputs | {"learning_rate": rate, "seed": seed}):
        raise RunError(
            f"the run with learning rate {rate} and seed {seed} was trained from other parameters, data or "
            "code than there are now, and is left as it is. `dvc repro` trains it again."
        )
    return one


def _publish_run(store: Store | None, one: Entry, known: list[Any], outputs: Study, *, dry_run: bool) -> Step:
    tag = study.membership(outputs.name)
    if store is None or dry_run:
        outcome = sync.foresee(one, known)
    else:
        journal = Journal.read(one.key) or Journal(None, None, outputs.commit)
        outcome = sync.deliver(store, one, known, journal, {tag: "yes"})
    newly_listed = outcome is Outcome.UNCHANGED and not any(tag in run.data.tags for run in known)
    if newly_listed and store and not dry_run:
        for run in known:
            store.client.set_tag(run.info.run_id, tag, "yes")
    change = newly_listed or outcome not in (Outcome.UNCHANGED, Outcome.BUSY)
    return Step(one.name, "listed in this study" if newly_listed else outcome.value, change)


def _bury(store: Store, index: Mapping[str, list[Any]], keys: set[str], *, dry_run: bool) -> Iterator[Step]:
    """Mark as KILLED what claims to be running and is dead."""
    for key, runs in index.items():
        for run in runs:
            owner = Owner.read(run.data.tags)
            if key in keys or run.info.status != "RUNNING" or (owner and owner.is_alive()):
                continue
            if not dry_run:
                sync.finish(store, run, "KILLED")
            yield Step(run.info.run_name, "was dead, marked KILLED", change=True)


def _publish_report(
    outputs: Study, store: Store | None, index: Mapping[str, list[Any]], *, dry_run: bool
) -> Iterator[Step]:
    try:
        whole = study.of_report(outputs.params, outputs.name, outputs.report)
        verdict = study.read_verdict(outputs.report)
    except (RunError, DataError) as error:
        yield Step("report", str(error), problem=True)
        return
    known = index.get(whole.key, [])
    if store is None or dry_run:
        outcome = sync.foresee(whole, known)
    else:
        outcome = sync.deliver(store, whole, known, Journal(None, None, outputs.commit))
    yield Step("report", outcome.value, outcome not in (Outcome.UNCHANGED, Outcome.BUSY))
    yield _crown(outputs, verdict, store, dry_run=dry_run)


def _crown(outputs: Study, verdict: Mapping[str, Any], store: Store | None, *, dry_run: bool) -> Step:
    candidate = champion.choose(verdict, outputs.entries)
    if candidate is None:
        return Step("champion", "as it was: the verdict chooses none of these runs")
    name = address.model(outputs.params.data.dataset)
    if store and champion.is_current(store, name, candidate):
        return Step("champion", Outcome.UNCHANGED.value)
    if store is None or dry_run:
        return Step("champion", f"moved to {candidate.entry.name}", change=True)
    runs = [run for run in store.find(candidate.entry.key) if sync.is_delivered(run, candidate.entry)]
    if not runs:
        return Step("champion", f"as it was: another process is delivering {candidate.entry.name}")
    version = champion.crown(store, name, candidate, store.client.get_run(runs[0].info.run_id))
    return Step("champion", f"moved to {candidate.entry.name}, version {version} of {name}", change=True)
