"""Command `verify`: trains again from nothing, elsewhere, and compares with the committed dvc.lock."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from pipeline import environment
from pipeline.commands import tools
from pipeline.errors import ParamsError
from pipeline.storage import files, runs
from pipeline.verification import copy, hashes, locks, originals, record, staleness, tolerance, working
from pipeline.verification.copy import Copy
from pipeline.verification.locks import Lock

DATA = ("download", "scale")
"""Stages that no processor may change a bit of."""


def verify(count: int, *, everything: bool = False, within: float | None = None) -> int:
    """Compare what the commit's code makes of its data with what its dvc.lock says.

    Args:
        count: how many runs to train, drawn by the commit's hash.
        everything: train all runs and make the report.
        within: for another kind of processor: compare accuracies, and let them differ by this much.

    Returns:
        0; or 1 if anything does not follow from the commit.

    Raises:
        ParamsError: `count` or `within` cannot be worked with.
        ToolError: this is no git repository with a committed dvc.lock, or a stage does not run.
    """
    if count < 0 or (within is not None and not 0 <= within <= 1):
        raise ParamsError(
            f"--runs {count} --tolerance {within}: expected 0 or more runs, and a tolerance from 0 to 1."
        )
    root = Path()
    commit = tools.git("rev-parse", "HEAD", folder=root).strip()
    place = copy.temporary()
    kept = False
    try:
        print(f"verify: commit {commit[:12]} in a clean copy, {place}", flush=True)
        clone = Copy(root, commit, place / "study")
        check = _Check(root, commit, clone, within)
        problems = check.files()
        if problems:
            return _end(problems, "Not trained again before these are mended: `dvc repro`, then commit.")
        problems = check.reruns(count, everything=everything)
        kept = bool(problems)
        return _end(problems, check.advice())
    finally:
        if not kept:
            copy.remove(place)


class _Check:
    def __init__(self, root: Path, commit: str, clone: Copy, within: float | None) -> None:
        self._root, self._commit, self._clone, self._within = root, commit, clone, within
        self._lock = clone.lock()
        self._stages, self._status = clone.status()
        self._record = record.read(clone.folder / record.FILE)
        self._elsewhere = False
        report = clone.folder / "report"  # read now: a rerun of the report replaces it
        self._rows = tolerance.rows(_text(report / "comparison.csv"))
        self._verdict = json.loads(_text(report / "verdict.json") or "{}")

    def files(self) -> list[str]:
        """What is wrong with the commit as it stands, without running anything."""
        problems = staleness.find(self._stages, self._status, self._lock)
        problems += locks.contradictions(self._lock)
        problems += working.uncommitted(self._root, self._lock)
        return problems

    def reruns(self, count: int, *, everything: bool) -> list[str]:
        """Train again, and compare; runs whose outputs here contradict dvc.lock come first."""
        problems, suspects = working.contradicting(self._root, self._lock, self._stages)
        known = [name for name in self._stages if name.startswith("train@")]
        drawn = known if everything else locks.choose(self._commit, known, count)
        chosen = [name for name in known if name in {*drawn, *suspects}]
        others = sorted(set(self._stages) - set(known)) if everything else ["scale"]
        print(
            f"verify: trains {len(chosen)} of {len(known)} runs again: {', '.join(chosen) or 'none'}",
            flush=True,
        )
        self._clone.rerun([*others, *chosen])
        new = self._clone.lock()
        own = [line for stage in new for line in self._compare(stage, self._lock, new)]
        if not own:
            number = sum(len(entry.outs) for entry in new.values())
            how = "byte for byte" if self._within is None else f"accuracies within {self._within:g}"
            print(f"verify: {number} outputs of {len(new)} stages are those of dvc.lock, {how}")
        self._print_environment(new)
        return problems + own

    def advice(self) -> str:
        """What to do about differences that a rerun found."""
        said = f"The copy is kept: {self._clone.folder}"
        if self._elsewhere and self._within is None:
            said += (
                "\nAnother kind of processor may round differently: `--tolerance 0.01` compares accuracies."
            )
        return said

    def _compare(self, stage: str, before: Lock, after: Lock) -> Iterable[str]:
        for path, md5 in after[stage].outs.items():
            expected = before[stage].outs.get(path)
            if md5 == expected:
                continue
            if self._within is not None and stage not in DATA:
                yield from self._measure(path)
                continue
            yield "\n".join(
                [
                    f"{path}: dvc.lock says {expected}, the rerun made {md5}.",
                    *(f"    {line}" for line in self._explain(path, expected or "", md5)),
                ]
            )

    def _explain(self, path: str, expected: str, got: str) -> list[str]:
        before = originals.find(self._root / path, expected, copy.cache(self._root))
        if before is not None:
            return originals.explain(before, originals.files(self._clone.folder / path))
        here = self._root / path
        if here.exists() and hashes.md5(here) == got:
            return ["What lies here is what the rerun made: it is dvc.lock that is wrong."]
        return [
            "Neither this folder nor DVC's cache has what dvc.lock names; after `dvc pull` more can be said."
        ]

    def _measure(self, path: str) -> Iterable[str]:
        """Compare results, not bits; of the report's files that is the choice."""
        new = self._clone.folder / path
        if (new / runs.METRICS).is_file():
            metrics = files.read_json(new / runs.METRICS)
            row = self._rows.get((metrics["learning_rate"], metrics["seed"]))
            largest, lines = tolerance.compare(row, metrics, self._within or 0)
            found = f"accuracies within {largest:.2g}"
        elif new.name == "verdict.json":
            lines, found = tolerance.compare_choices(self._verdict, files.read_json(new)), "the same choice"
        else:
            lines, found = [], "made from runs with other bits"
        if lines:
            yield "\n".join([f"{path}: another result.", *(f"    {line}" for line in lines)])
        else:
            print(f"verify: {path}: other bits, {found}")

    def _print_environment(self, new: Lock) -> None:
        here = environment.describe()
        print("verify: ran on " + ", ".join(f"{key} {value}" for key, value in here.items()))
        made = {path: self._lock[stage].outs.get(path, "") for stage in new for path in new[stage].outs}
        recorded = record.recorded(self._record, made)
        if not recorded:
            print(f"verify: {record.FILE} does not say on what these outputs were made")
        for line in record.compare(recorded, here):
            print(f"verify: another environment: {line}")
        self._elsewhere = any(facts.get("processor") != here["processor"] for facts in recorded)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _end(problems: list[str], note: str) -> int:
    for problem in problems:
        print(f"  {problem}", file=sys.stderr)
    if problems:
        print(f"verify: {len(problems)} difference(s). {note}", file=sys.stderr)
        return 1
    print("verify: everything compared is equal")
    return 0
