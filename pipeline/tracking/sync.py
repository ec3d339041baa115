"""Making MLflow agree with a record: once, whole, whatever MLflow holds already.

MLflow has no run ids of one's own choosing and no locks; what makes syncing safe to repeat is that every row
of a metric is the same row, whoever sends it: value, step and time follow from the outputs, the live log and
the run's start alone, and MLflow drops identical rows. So a request whose answer got lost is sent again.
"""

# ruff: noqa: TID251 - the package that imports MLflow

import contextlib
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.core import files
from pipeline.core.errors import ToolError
from pipeline.tracking import address, model
from pipeline.tracking.provenance import Provenance
from pipeline.tracking.record import Record, Row
from pipeline.tracking.store import Store

OUTPUTS = "outputs"  # the tag of a complete run: the digest of the outputs that it shows
FOLLOWER = "follower"  # the tag of a run that is not: who looks after it, and when it last did
_CHART = "loss_and_accuracy.png"  # of a run
_SILENCE = 180.0  # seconds after which a follower elsewhere counts as dead; clocks may differ a bit
_PATIENCE = 600  # seconds that a process waits for another one of this machine


class SyncResult(Enum):
    """What `sync` did to MLflow's run."""

    UNCHANGED = "up to date"
    CREATED = "created"
    COMPLETED = "completed"
    REPLACED = "replaced"
    LABELLED = "added to this study"
    BUSY = "left to another process that is syncing it"


def sync(
    store: Store, record: Record, runs: Sequence[Any], provenance: Provenance, *, dry_run: bool = False
) -> SyncResult:
    """Make MLflow agree with `record`; one finished run shows it afterwards.

    `runs` is what `store.find(record.key)` gives. A dry run changes nothing, and returns what would be done.
    """
    run = elect(store, runs, dry_run=dry_run)
    if run and shows(store, run, record):
        if record.tags.keys() <= run.data.tags.keys():  # a person may have edited them
            return SyncResult.UNCHANGED
        if not dry_run:
            send(store, run, tags=record.tags)
        return SyncResult.LABELLED
    if run and is_followed_elsewhere(run):
        return SyncResult.BUSY
    missing = _missing(store, run, record) if run else record.rows
    result = SyncResult.COMPLETED if run else SyncResult.CREATED
    if missing is None:
        result, missing = SyncResult.REPLACED, record.rows
    if dry_run:
        return result
    if result is SyncResult.REPLACED:
        delete(store, run)
    if result is not SyncResult.COMPLETED:
        run = create(store, record.key, record.name, record.tags, provenance.started)
    tags = {**provenance.tags, **record.tags, **sign_of_life()}
    ended = provenance.ended
    times = {row.step: provenance.times.get(row.step, ended) for row in missing} if ended else {}
    send(store, run, missing, record.params, tags, times)
    _attach(store, run, record)
    if not is_elected(store, record.key, run):
        return SyncResult.UNCHANGED  # another process was quicker, and this one's run is deleted
    send(store, run, tags={OUTPUTS: record.digest})
    finish(store, run, "FINISHED", provenance.ended)
    return result


@contextlib.contextmanager
def exclusively() -> Iterator[None]:
    """Work on the store while no other process of this machine does.

    Raises:
        ToolError: another one has been at work for minutes.
    """
    path = address.lock(address.tracking_uri()).with_suffix(".publish.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()  # fails at once where nobody can write; the lock would wait for its turn instead
    try:
        with FileLock(path, timeout=_PATIENCE):
            yield
    except Timeout:
        raise ToolError(
            f"expected no other `publish` to this store, got one that has been at work for {_PATIENCE} s. "
            "Wait for it, or end it; then start this one again."
        ) from None


def shows(store: Store, run: Any, record: Record) -> bool:
    """Decide whether MLflow has all of the record, its files too where no server keeps them."""
    if run.info.status != "FINISHED" or run.data.tags.get(OUTPUTS) != record.digest:
        return False
    if not run.info.artifact_uri.startswith("file:"):
        return True
    folder = address.local_path(run.info.artifact_uri)
    expected = {folder / name: path.stat().st_size for name, path in record.files.items()}
    if record.history is not None:
        expected[folder / _CHART] = 1
    if record.network:
        logged = _models(store, run)
        if not logged:
            return False
        for item in logged:
            folder = address.local_path(item.artifact_location)
            expected |= {folder / name: size for name, size in model.sizes(record.network).items()}
    return all(path.is_file() and path.stat().st_size >= size for path, size in expected.items())


def sign_of_life() -> dict[str, str]:
    """Make the tag by which a process claims a run, until it is quiet for minutes."""
    return {FOLLOWER: json.dumps([_here(), time.time()])}


def is_followed_elsewhere(run: Any) -> bool:
    """Decide whether a process other than this repository's follower looks after the run."""
    if run.info.status != "RUNNING" or FOLLOWER not in run.data.tags:
        return False
    follower, seen = json.loads(run.data.tags[FOLLOWER])
    return bool(follower != _here() and time.time() - seen < _SILENCE)


def _here() -> str:
    return f"{platform.node()}:{files.repository().resolve()}"


def elect(store: Store, runs: Iterable[Any], *, dry_run: bool = False) -> Any | None:
    """Choose the run that stays of those with the same key, and delete the others.

    There are others only if two machines created theirs at the same moment. All processes choose the same,
    since they go by what the store holds alone: a finished run before others, then the older.
    """
    elected, *others = sorted(
        runs, key=lambda run: (run.info.status != "FINISHED", run.info.start_time, run.info.run_id)
    ) or [None]
    for run in () if dry_run else others:
        delete(store, run)
    return elected


def is_elected(store: Store, run_key: str, run: Any) -> bool:
    elected = elect(store, store.find(run_key))
    return elected is not None and elected.info.run_id == run.info.run_id


def create(store: Store, run_key: str, name: str, tags: Mapping[str, str], started: int | None = None) -> Any:
    """Create a run that this process claims, started at `started` in milliseconds since 1970, or now."""
    tags = {**tags, "run_key": run_key} | sign_of_life()
    return store.client.create_run(store.experiment_id, start_time=started, run_name=name, tags=tags)


def send(
    store: Store,
    run: Any,
    rows: Sequence[Row] = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    times: Mapping[int, int] | None = None,
) -> None:
    """Send rows, params and tags; MLflow splits them into requests.

    Args:
        times: of steps, in milliseconds since 1970; a step without is shown that many after the run's start.
    """
    from mlflow.entities import Metric, Param, RunTag

    start, times = run.info.start_time, times or {}
    metrics = [Metric(row.key, row.value, times.get(row.step, start + row.step), row.step) for row in rows]
    values = [Param(*item) for item in (params or {}).items()]
    labels = [RunTag(*item) for item in (tags or {}).items()]
    store.client.log_batch(run.info.run_id, metrics, values, labels)


def known_rows(store: Store, run: Any) -> list[Row]:
    """List every row that MLflow has of the run."""
    histories = (store.client.get_metric_history(run.info.run_id, key) for key in run.data.metrics)
    return [Row(row.key, row.value, row.step) for history in histories for row in history]


def finish(store: Store, run: Any, status: str, ended: int | None = None) -> None:
    """End the run as `FINISHED`, `FAILED` or `KILLED`, at `ended` in milliseconds since 1970, or now."""
    store.client.set_terminated(run.info.run_id, status, ended)
    with contextlib.suppress(Exception):  # it may have none, and it says nothing about a run that has ended
        store.client.delete_tag(run.info.run_id, FOLLOWER)


def delete(store: Store, run: Any) -> None:
    """Delete the run as MLflow does, and its models, complete or not: MLflow would go on listing them."""
    for logged in _models(store, run):
        store.client.delete_logged_model(logged.model_id)
    store.client.delete_run(run.info.run_id)


def _models(store: Store, run: Any) -> list[Any]:
    """List the run's models that are not deleted."""
    condition = f"source_run_id = '{run.info.run_id}'"
    return list(store.client.search_logged_models([store.experiment_id], filter_string=condition))


def _missing(store: Store, run: Any, record: Record) -> Sequence[Row] | None:
    """List the rows that the run lacks; None if it holds anything that the record does not.

    MLflow can add, but neither change a param nor take back a metric or a file.
    """
    if OUTPUTS in run.data.tags or not run.data.params.items() <= record.params.items():
        return None
    known, rows = known_rows(store, run), set(record.rows)
    if len(set(known)) < len(known) or not rows.issuperset(known):
        return None
    return sorted(rows.difference(known))


def _attach(store: Store, run: Any, record: Record) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    from pipeline.tracking import chart  # Matplotlib, which most processes do not need

    if record.data:
        context = [InputTag("mlflow.data.context", "training")]
        store.client.log_inputs(run.info.run_id, [DatasetInput(Dataset(**record.data.dataset()), context)])
    with tempfile.TemporaryDirectory() as temporary:
        for name, path in record.files.items():
            copy = Path(temporary, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        if record.history is not None:
            chart.draw(Path(temporary, _CHART), record.history, f"{record.params['dataset']}, {record.name}")
        store.client.log_artifacts(run.info.run_id, temporary)
    if record.data and record.network:
        shown = store.client.get_run(run.info.run_id)
        model.log(store, shown, record.network, record.data.task, record.digest)
