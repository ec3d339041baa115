"""Command `publish`: make MLflow agree with the outputs, whatever happened to it before."""

import contextlib
import dataclasses
import itertools
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pipeline import params
from pipeline.core import run_keys
from pipeline.core.errors import DataError, PipelineError, RunError, without_login
from pipeline.params import Params
from pipeline.tracking import address, champion, data, live_log, provenance, record, study, sync, view
from pipeline.tracking.data import SCALED, Data
from pipeline.tracking.follow import Follower
from pipeline.tracking.provenance import Provenance
from pipeline.tracking.record import Record
from pipeline.tracking.store import Store, explained, open_store
from pipeline.tracking.sync import SyncResult

RUNS, REPORT = Path("runs"), Path("report")
_REBUILT = "from the outputs alone: start, end and the epochs' times are made up"
CHANGED, UNCHANGED, BUSY, PROBLEM = "changed", "up to date", "left to another process", "not published"


def publish(runs: Path = RUNS, report: Path = REPORT, *, dry_run: bool = False) -> int:
    """Create what is missing in MLflow, complete what is partial, end what is dead; print what was done.

    Return 1 if a run or the report is missing, damaged or out of date (the rest is published), else 0.

    Raises:
        ParamsError: params.yaml cannot be worked with.
        DataError: there are no scaled data, which say what the models take.
        ToolError: MLflow is not there, or its store does not answer.
    """
    return 1 if publish_outputs(runs, report, dry_run=dry_run).counts[PROBLEM] else 0


def publish_outputs(runs: Path = RUNS, report: Path = REPORT, *, dry_run: bool = False) -> "Publisher":
    """Do what `publish` does; return the publisher, which knows the comparison page."""
    settings, trained_on = params.load(), data.read(SCALED)
    uri, dataset = address.tracking_uri(), settings.data.dataset
    store = open_store(dataset, create=not dry_run)
    print(f"MLflow at {without_login(uri)}, experiment {address.experiment(dataset)}")
    folder = str(address.artifacts())
    if not address.is_server(uri) and unquote(folder) != folder:  # MLflow unescapes it once too often
        print(
            f"warning: MLflow cannot load models from {folder}, whose name holds % and two hex digits. "
            "Rename that folder to load them; all else works.",
            file=sys.stderr,
        )
    publisher = Publisher(settings, trained_on, store, dry_run=dry_run)
    publisher.read(runs)
    publisher.deliver()
    with contextlib.nullcontext() if dry_run else sync.exclusively(), explained(uri):
        publisher.publish(report)
    counts = publisher.counts
    shown = (CHANGED, UNCHANGED, *([BUSY] if counts[BUSY] else []), PROBLEM)
    print("publish: " + ", ".join(f"{counts[state]} {state}" for state in shown))
    return publisher


class Publisher:
    """The steps of one `publish`."""

    def __init__(self, settings: Params, trained_on: Data, store: Store, *, dry_run: bool) -> None:
        self.counts = Counter[str]()  # how many steps came to each of CHANGED, UNCHANGED, BUSY and PROBLEM
        self._params, self._data, self._store, self._dry_run = settings, trained_on, store, dry_run
        self._records: list[Record] = []
        self._now = Provenance(None, None, {})

    @property
    def study_id(self) -> str:
        """Make the id of the set of published runs; empty if there are none."""
        return study.study_id(run.key for run in self._records) if self._records else ""

    def pages(self, server: str) -> tuple[str, str]:
        """Give the addresses of this study's comparison and of all studies, on a server of the store."""
        return view.pages(self._store, server, self.study_id)

    def read(self, folder: Path) -> None:
        """Read the runs that are as params.yaml, code and data want them; report each of the others."""
        try:
            inputs = run_keys.inputs(self._params.values())
            self._now = Provenance(None, None, provenance.git_tags())
        except (OSError, PipelineError):  # not all of it is there, as after pulling runs only
            inputs = None
        for rate, seed in itertools.product(self._params.train.learning_rates, self._params.train.seeds):
            try:
                values = record.run_params(self._params, rate, seed)
                run = record.of_run(values, self._data, folder, rate, seed)
                if inputs and run.key != run_keys.key_of(inputs, rate, seed):
                    raise RunError(
                        f"the run with learning rate {rate} and seed {seed} was trained from other "
                        "parameters, data or code than there are now, and is left as it is. `dvc repro` "
                        "trains it again; if DVC takes it for up to date, as after `dvc commit`, "
                        f"`dvc repro -f -s train@{rate}-{seed}` does."
                    )
                self._records.append(run)
            except RunError as error:
                self._report(record.run_name(rate, seed), PROBLEM, str(error))

    def deliver(self) -> None:
        """Deliver the live logs that wait, as the follower does, which may be gone."""
        if not self._dry_run and (trouble := Follower().deliver()):
            self._report("live logs", PROBLEM, trouble)

    def publish(self, report: Path) -> None:
        """Make MLflow agree with the outputs, step by step."""
        index, label = self._store.index(), {study.membership(self.study_id): "yes"}
        colours = view.rate_colours(self._params.train.learning_rates)
        own = {item.key for item in self._records} | {study.run_key(self.study_id)}
        # First: what follows may take so long that signs of life grow old.
        for run in itertools.chain.from_iterable(runs for key, runs in index.items() if key not in own):
            if run.info.status == "RUNNING" and not self._is_followed(run):
                if not self._dry_run:
                    sync.finish(self._store, run, "KILLED")
                self._report(run.info.run_name, CHANGED, "marked KILLED: its process is dead")
        for item in self._records:
            colour = {"mlflow.runColor": colours[item.params["learning_rate"]]}
            self._sync(dataclasses.replace(item, tags=item.tags | label | colour), index.get(item.key, []))
        if self._records:
            columns = {column: None for run in self._records for column in run.columns}
            fresh = view.save(self._store, self.study_id, columns, dry_run=self._dry_run)
            self._report("comparison page", CHANGED if fresh else UNCHANGED, "prepared")
        if len(self._records) == len(self._params.train.learning_rates) * len(self._params.train.seeds):
            try:
                verdict = study.read_verdict(report)
            except (RunError, DataError) as error:
                self._report("report", PROBLEM, str(error))
                return
            whole = study.of_report(self._params, self.study_id, report, verdict)
            self._sync(whole, index.get(whole.key, []))
            if candidate := champion.find_candidate(verdict, self._records):
                self._promote(candidate)
            else:
                self._report("champion", UNCHANGED)

    def _report(self, what: str, state: str, text: str = "") -> None:
        self.counts[state] += 1
        if state == PROBLEM:
            print(f"  {what}: not published. {text}", file=sys.stderr)
        elif state != UNCHANGED:
            print(f"  {what}: {'would be ' if self._dry_run and state == CHANGED else ''}{text}")

    def _is_followed(self, run: Any) -> bool:
        key = run.data.tags["run_key"]
        return sync.is_followed_elsewhere(run) or any(path.stem == key for path in live_log.paths())

    def _sync(self, item: Record, runs: list[Any]) -> None:
        if any(run.info.status == "RUNNING" for run in runs):  # the list may be minutes old
            runs = self._store.find(item.key)
        if any(map(self._is_followed, runs)):
            result = SyncResult.BUSY
        else:
            rebuilt = {"rebuilt": _REBUILT} if item.network else {}
            origin = live_log.archived(item.key) or self._now._replace(tags=self._now.tags | rebuilt)
            result = sync.sync(self._store, item, runs, origin, dry_run=self._dry_run)
        states = {SyncResult.UNCHANGED: UNCHANGED, SyncResult.BUSY: BUSY}
        self._report(item.name, states.get(result, CHANGED), result.value)

    def _promote(self, candidate: champion.Candidate) -> None:
        name = candidate.record.name
        runs = [
            run
            for run in self._store.find(candidate.record.key)
            if sync.shows(self._store, run, candidate.record)
        ]
        if champion.is_current(self._store, candidate, runs):
            self._report("champion", UNCHANGED)
        elif self._dry_run:
            self._report("champion", CHANGED, f"moved to {name}")
        elif runs:
            version = champion.promote(self._store, candidate, self._data, runs[0])
            self._report("champion", CHANGED, f"moved to {name}, version {version} of {candidate.model_name}")
        else:
            self._report("champion", BUSY, f"not moved: another process is syncing {name}")
