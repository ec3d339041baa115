"""Making MLflow agree with an entry: once, whole, and whatever is there already.

MLflow has no run ids of one's own choosing and no locks; what makes delivery safe to repeat is that every
row of a metric is the same row, whoever sends it: value, step and time follow from the outputs and from the
run's start alone, and MLflow drops identical rows. So a request whose answer got lost is simply sent again.
"""

# ruff: noqa: TID251 - the package that imports MLflow

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline.tracking import model
from pipeline.tracking import record as entries
from pipeline.tracking.journal import Journal
from pipeline.tracking.lease import TAG as OWNER
from pipeline.tracking.lease import Owner
from pipeline.tracking.record import DatasetFacts, Entry, Row
from pipeline.tracking.store import Store

DELIVERED = "outputs"
"""The tag that a complete run has: the digest of the outputs that it shows."""

_NONE: Mapping[str, str] = MappingProxyType({})
_BATCH = 900  # MLflow takes up to 1,000 metrics a request


class Outcome(Enum):
    """What a delivery did."""

    UNCHANGED = "unchanged"
    CREATED = "created"
    COMPLETED = "completed"
    REPLACED = "replaced"
    BUSY = "left to the process that is delivering it"


def deliver(
    store: Store, entry: Entry, runs: Sequence[Any], journal: Journal, labels: Mapping[str, str] = _NONE
) -> Outcome:
    """Make MLflow agree with `entry`; one finished run shows it afterwards.

    Args:
        runs: what `store.find(entry.key)` gives.
        journal: what the process noted that trained the run.
        labels: tags to set on top of all others.
    """
    run = elect(store, runs)
    if run is not None and is_delivered(run, entry):
        return Outcome.UNCHANGED
    if run is not None and is_busy(run):
        return Outcome.BUSY
    outcome = Outcome.CREATED if run is None else Outcome.COMPLETED
    missing = _missing(store, run, entry) if run is not None else None
    if run is not None and missing is None:
        delete(store, run)
        run, outcome = None, Outcome.REPLACED
    if run is None:
        run = create(store, entry.key, entry.name, entry.tags, journal.started)
        missing = list(entry.rows)
    else:
        store.client.set_tag(run.info.run_id, OWNER, Owner.myself().tag())
    tags = journal.tags | entry.tags | dict(labels)
    send(store, run, missing or (), entry.params, tags)
    _attach(store, run, entry)
    if (winner := elect(store, store.find(entry.key))) is None or winner.info.run_id != run.info.run_id:
        return Outcome.UNCHANGED  # another process was quicker, and `elect` took this one's away
    store.client.set_tag(run.info.run_id, DELIVERED, entry.digest)
    finish(store, run, "FINISHED", journal.ended)
    return outcome


def prepare() -> None:
    """Have all ready that the first `deliver` of a process would take a second or two to import."""
    entries.prepare()
    model.prepare()


def foresee(entry: Entry, runs: Sequence[Any]) -> Outcome:
    """What `deliver` would do, as far as can be seen without asking for every metric."""
    ranked = _ranked(runs)
    if not ranked:
        return Outcome.CREATED
    if is_delivered(ranked[0], entry):
        return Outcome.UNCHANGED
    if is_busy(ranked[0]):
        return Outcome.BUSY
    return Outcome.REPLACED if DELIVERED in ranked[0].data.tags else Outcome.COMPLETED


def is_delivered(run: Any, entry: Entry) -> bool:
    return bool(run.info.status == "FINISHED" and run.data.tags.get(DELIVERED) == entry.digest)


def is_busy(run: Any) -> bool:
    """Whether another process that is alive looks after the run."""
    owner = Owner.read(run.data.tags)
    return run.info.status == "RUNNING" and owner is not None and owner.is_alive() and not owner.is_me()


def elect(store: Store, runs: Iterable[Any]) -> Any | None:
    """Of the runs with one key, the one that stays; the others are deleted.

    There is more than one only if two machines created theirs within the same moment. The choice depends on
    nothing but what the store says, so all who look choose the same one: a finished one before others, then
    the older one.
    """
    ranked = _ranked(runs)
    for run in ranked[1:]:
        delete(store, run)
    return ranked[0] if ranked else None


def _ranked(runs: Iterable[Any]) -> list[Any]:
    return sorted(runs, key=lambda run: (run.info.status != "FINISHED", run.info.start_time, run.info.run_id))


def create(store: Store, key: str, name: str, tags: dict[str, str], started: int | None = None) -> Any:
    """Args:
    started: milliseconds since 1970; None is now.
    """
    return store.client.create_run(
        store.experiment_id,
        start_time=started or _now(),
        run_name=name,
        tags=tags | {"run_key": key, OWNER: Owner.myself().tag()},
    )


def send(
    store: Store,
    run: Any,
    rows: Sequence[Row],
    params: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
) -> None:
    """Send rows, and the params and tags with the first batch."""
    from mlflow.entities import Metric, Param, RunTag

    start = run.info.start_time
    metrics = [Metric(row.key, row.value, start + row.step, row.step) for row in rows]
    store.client.log_batch(
        run.info.run_id,
        metrics[:_BATCH],
        [Param(key, value) for key, value in (params or {}).items()],
        [RunTag(key, value) for key, value in (tags or {}).items()],
    )
    for batch in _batches(metrics[_BATCH:]):
        store.client.log_batch(run.info.run_id, batch)


def known_rows(store: Store, run: Any) -> list[Row]:
    """Every row that MLflow has of the run."""
    return [
        Row(metric.key, metric.value, metric.step)
        for key in run.data.metrics
        for metric in store.client.get_metric_history(run.info.run_id, key)
    ]


def resume(store: Store, run: Any, tags: dict[str, str]) -> None:
    """Take over a run that its process left unfinished."""
    store.client.update_run(run.info.run_id, status="RUNNING")
    send(store, run, (), tags=tags | {OWNER: Owner.myself().tag()})


def finish(store: Store, run: Any, status: str, ended: int | None = None) -> None:
    """Args:
    status: `FINISHED`, `FAILED` or `KILLED`.
    ended: milliseconds since 1970; None is now.
    """
    store.client.set_terminated(run.info.run_id, status, ended or max(_now(), run.info.start_time))
    if OWNER in run.data.tags or status == "FINISHED":
        store.client.delete_tag(run.info.run_id, OWNER)


def delete(store: Store, run: Any) -> None:
    """Delete as MLflow does: `mlflow gc` empties the bin, `mlflow runs restore` takes out of it."""
    model.delete_all(store, run.info.run_id)
    store.client.delete_run(run.info.run_id)


def _missing(store: Store, run: Any, entry: Entry) -> list[Row] | None:
    """The rows that the run lacks; None if it says anything else than the outputs do: MLflow can add, but
    neither change a param nor take back a metric or a file.
    """
    if DELIVERED in run.data.tags or any(
        entry.params.get(key) != value for key, value in run.data.params.items()
    ):
        return None
    known = known_rows(store, run)
    if len(set(known)) < len(known) or not set(known) <= set(entry.rows):
        return None
    return [row for row in entry.rows if row not in set(known)]


def _attach(store: Store, run: Any, entry: Entry) -> None:
    if entry.dataset is not None:
        _log_input(store, run.info.run_id, entry.dataset)
    with tempfile.TemporaryDirectory() as temporary:
        entry.write_artifacts(Path(temporary))
        store.client.log_artifacts(run.info.run_id, temporary)
    if entry.network is not None:
        model.log(store, store.client.get_run(run.info.run_id), entry.network, entry.digest)


def _log_input(store: Store, run_id: str, facts: DatasetFacts) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(facts.name, facts.digest, "code", facts.source, profile=facts.profile)
    store.client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def _batches(metrics: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(metrics), _BATCH):
        yield metrics[start : start + _BATCH]


def _now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return int(time.time() * 1000)
