"""What a rerun made against what dvc.lock says: the same bytes, or how they differ."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core import files, runs
from pipeline.tools import machine
from pipeline.verify import environments, hashes, lockfile, tolerance
from pipeline.verify.clone import Clone, Find
from pipeline.verify.hashes import Files
from pipeline.verify.lockfile import Lock, StageHashes

DATA = ("check", "download", "scale")
"""Stages of which no processor may change a bit."""
ARITHMETIC = ("processor", "gpu", "tensorflow", "keras", "numpy", "h5py", "scikit-learn", "scipy")
"""The facts of environment.json that decide on bits: where these are the same, bytes must be equal."""
TABLE, VERDICT = "report/comparison.csv", "report/verdict.json"
"""The results that git holds, whose accuracies a tolerance compares."""


@dataclass
class Differences:
    """The differences that reruns show, a sentence each, and how much was compared.

    Attributes:
        root: the repository.
        lock: what the commit's dvc.lock says of the stages that params.yaml asks for.
        stray: the outputs, by path, that it remembers of stages that are asked for no longer.
        record: the commit's environment.json.
        within: how far accuracies may be apart where bits may differ; None: nowhere.
        here: on what the reruns run.
        equal, near, skipped: how many outputs have the same bytes, such accuracies, or were not compared.
    """

    root: Path
    lock: Lock
    stray: Mapping[str, str]
    find: Find
    record: Mapping[str, Any]
    within: float | None
    here: Mapping[str, str] = field(default_factory=machine.describe)
    problems: list[str] = field(default_factory=list)
    stages: set[str] = field(default_factory=set)
    equal: int = 0
    near: int = 0
    skipped: int = 0

    def add(self, clone: Clone) -> None:
        """Compare what the clone made with what dvc.lock says of the same stages.

        Raises:
            DataError: a result that git holds is not what the stage writes.
        """
        new = lockfile.read(clone.folder / lockfile.FILE)
        self.stages |= set(new)
        recorded = lockfile.outputs(self.lock)
        changed = {path for path, md5 in lockfile.outputs(new).items() if md5 != recorded.get(path)}
        for stage, entry in new.items():
            same_inputs = not any(lockfile.inside(path, dep) for path in changed for dep in entry.deps)
            if same_inputs:
                self._add_deps(stage, entry, clone)
            for path, md5 in entry.outs.items():
                expected = self.lock[stage].outs.get(path, "none")
                if md5 == expected:
                    self.equal += 1
                elif self.within is None or stage in DATA or (same_inputs and self._same_kind(path)):
                    summary = f"{path}: dvc.lock says {expected}, the rerun made {md5}."
                    details = self._describe(path, expected, md5, clone)
                    self.problems.append("\n    ".join((summary, *details)))
                else:
                    self._add_accuracies(path, clone.folder / path, self.within)

    def recorded_environments(self) -> list[dict[str, str]]:
        """List on what the outputs compared were made, as far as the commit says."""
        outputs = lockfile.outputs({stage: self.lock[stage] for stage in self.stages})
        return [facts for path in outputs if (facts := environments.facts(self.record, path))]

    def _add_deps(self, stage: str, entry: StageHashes, clone: Clone) -> None:
        """Compare what a stage used, where the outputs in it are right: the folder of runs as a whole."""
        for path, got in entry.deps.items():
            expected = self.lock[stage].deps.get(path, "none")
            if got == expected:
                continue
            # Runs of a rate that was taken out of params.yaml may stay where they are, and DVC counts them.
            stray = {out: md5 for out, md5 in self.stray.items() if lockfile.inside(out, path)}
            if missing := clone.add(stray, self.find):
                print_unchecked(f"{path} as {stage} used it, since it may hold", missing, "brings it")
            elif not stray or hashes.md5(clone.folder / path, clone.folder) != expected:
                self.problems.append(
                    f"dvc.lock contradicts itself: {stage} used {path} with the MD5 {expected}, but what the "
                    f"other stages made in it has {got}. Remove what else lies in {path}, if anything does."
                )

    def _same_kind(self, path: str) -> bool:
        facts = environments.facts(self.record, path)
        return bool(facts) and all(facts.get(key) == self.here.get(key) for key in ARITHMETIC)

    def _describe(self, path: str, expected: str, got: str, clone: Clone) -> list[str]:
        if (before := self.find(path, expected)) is not None:
            return file_changes(before, hashes.files_of(clone.folder / path))
        here = self.root / path
        if here.exists() and hashes.md5(here, self.root) == got:
            return ["What lies here is what the rerun made: it is dvc.lock that is wrong."]
        return ["Neither this folder nor DVC's cache has what dvc.lock names; `dvc pull` may bring it."]

    def _add_accuracies(self, path: str, new: Path, within: float) -> None:
        lines = []
        if (new / runs.METRICS).is_file():
            after = tolerance.of_metrics(files.read_json(new / runs.METRICS))
            table = tolerance.of_table(self.root / TABLE)
            before = {label: table[label] for label in after if label in table}
        elif path == TABLE:
            before, after = tolerance.of_table(self.root / TABLE), tolerance.of_table(new)
        elif path == VERDICT:
            before, best = tolerance.of_verdict(self.root / VERDICT)
            after, _ = tolerance.of_verdict(new)
            if (chosen := files.read_json(new)["learning_rate"]) not in best:
                lines.append(f"learning_rate: {chosen} in the rerun, which was worse before")
        else:
            self.skipped += 1
            print(f"verify: {path}: other bits, not compared: a tolerance is one of accuracies")
            return
        gap, beyond = tolerance.gaps(before, after, within)
        if lines := lines + beyond:
            self.problems.append("\n    ".join((f"{path}: another result.", *lines)))
        else:
            self.near += 1
            print(f"verify: {path}: other bits, accuracies within {gap:.2g}")


def print_unchecked(what: str, missing: list[str], remedy: str) -> None:
    """Say what could not be checked for want of recorded outputs."""
    print(
        f"verify: not checked: {what} {lockfile.first_few(missing)}, which neither this folder nor "
        f"DVC's cache has as dvc.lock names it. `dvc pull` {remedy}."
    )


def file_changes(before: Files, after: Files) -> list[str]:
    """Say of each file that differs in what and, where that can be said, by how much."""
    lines = []
    for name in sorted({*before, *after}):
        if name not in after:
            lines.append(f"{name}: missing in the rerun")
        elif name not in before:
            lines.append(f"{name}: new in the rerun")
        elif (old := before[name].read_bytes()) != (new := after[name].read_bytes()):
            difference = f"differs ({len(old):,} bytes before, {len(new):,} in the rerun)"
            try:
                if name == runs.HISTORY:
                    difference = first_difference(before[name], after[name])
                elif name.endswith(".json"):
                    difference = _changed_values(json.loads(old), json.loads(new))
            except ValueError as error:
                difference += f"; one of the two cannot be read: {error}"
            lines.append(f"{name}: {difference}")
    return lines


def first_difference(before: Path, after: Path) -> str:
    """Say of two history.csv in which epoch they part, in what, and by how much.

    Raises:
        ValueError: one of them is not a table.
    """
    old, new = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in (before, after))
    if list(old) != list(new):
        return "the columns differ"
    common = min(len(old), len(new))
    differs = old[:common] != new[:common]
    if not differs.to_numpy().any():
        return f"the same up to epoch {common}, {len(old)} epochs before and {len(new)} in the rerun"
    row = int(differs.any(axis="columns").to_numpy().argmax())
    parts = [_change(str(name), old[name][row], new[name][row]) for name in old if differs[name][row]]
    return f"differs from epoch {row + 1} on: {', '.join(parts)}"


def _changed_values(before: Any, after: Any) -> str:
    from dvc.utils.flatten import flatten

    old, new = (flatten({"": value}) for value in (before, after))
    keys = [key for key in old | new if old.get(key) != new.get(key)]
    changes = [_change(key.removeprefix("."), old.get(key), new.get(key)) for key in keys]
    return lockfile.first_few(changes, 4) or "differs in its form"


def _change(name: str, before: Any, after: Any) -> str:
    try:
        by = f" ({float(after) - float(before):+.3g})"
    except (TypeError, ValueError):
        by = ""
    return f"{name} {before} before, {after} in the rerun{by}"
