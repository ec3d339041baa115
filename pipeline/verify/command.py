"""Command `verify`: trains again from nothing, elsewhere, and compares with the committed dvc.lock."""

import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.core.errors import ParamsError
from pipeline.tools import machine, programs
from pipeline.verify import environments, folders, locks, originals, remake, staleness, working
from pipeline.verify.clone import Copy, cache, remove, temporary
from pipeline.verify.comparison import Comparison, exact
from pipeline.verify.locks import Lock, Stage
from pipeline.verify.originals import Files


def verify(runs: int, *, all: bool = False, tolerance: float | None = None, draw: str = "") -> int:  # noqa: A002
    """Compare what the commit's code makes of its data with what its dvc.lock says.

    Args:
        runs: how many runs to train, drawn by the commit's hash.
        all: train all runs, and make the report from these.
        tolerance: where an output was made on another kind of processor, compare accuracies, and let them
            differ by this much.
        draw: has part in the draw, so that who made the commit cannot know which runs are tried.

    Returns:
        0; or 1 if anything does not follow from the commit.

    Raises:
        ParamsError: `runs` or `tolerance` cannot be worked with.
        ToolError: this is no git repository with a committed dvc.lock, or a stage does not run.
        DownloadError: the data set could not be had.
        DataError: a committed file is not what the pipeline writes.
    """
    if runs < 0 or (tolerance is not None and not 0 <= tolerance <= 1):
        raise ParamsError(
            f"--runs {runs} --tolerance {tolerance}: expected 0 or more runs, and a tolerance from 0 to 1."
        )
    root = Path()
    commit = programs.git("rev-parse", "HEAD", folder=root).strip()
    place = temporary()
    kept = False
    try:
        print(f"verify: commit {commit[:12]} in a clean copy, {place}", flush=True)
        clone = Copy(root, commit, place / "study")
        check = _Check(root, commit, clone, tolerance, draw)
        problems = check.files()
        if problems:
            return _end(problems, "Not trained again before these are mended: `dvc repro`, then commit.")
        problems = check.reruns(runs, everything=all)
        if not all:
            problems += check.report(place / "report")
        problems += check.folders()
        check.summarize()
        kept = bool(problems)
        return _end(problems, check.advice())
    finally:
        if not kept:
            remove(place)


class _Check:
    def __init__(self, root: Path, commit: str, clone: Copy, within: float | None, salt: str) -> None:
        self._salt = salt
        self._root, self._commit, self._clone, self._within = root, commit, clone, within
        self._lock = clone.lock()
        self._stages, self._status = clone.status()
        self._record = environments.read(clone.folder / environments.FILE)
        self._here = machine.describe()
        self._cache = cache(root)
        self._new: dict[str, Stage] = {}
        self._elsewhere = False
        self._comparison = Comparison(root, clone.folder, self._lock, self._record, self._here, within)
        self._folders = folders.used(self._lock, self._stages, clone.folder)

    def files(self) -> list[str]:
        """What is wrong with the commit as it stands, without running anything."""
        problems = staleness.find(self._stages, self._status, self._lock)
        problems += locks.contradictions(self._lock)
        problems += self.folders(quiet=True)  # what is not here, a rerun may make
        problems += working.uncommitted(self._root, self._lock)
        return problems

    def folders(self, *, quiet: bool = False) -> list[str]:
        """Where a stage used a folder that is not what the other stages made in it."""
        problems = []
        for folder in self._folders:
            wrong, unknown = folders.check(folder, self._listing)
            problems += wrong
            if not quiet:
                _print_unchecked(unknown)
        return problems

    def reruns(self, count: int, *, everything: bool) -> list[str]:
        """Train again, and compare; runs whose outputs here contradict dvc.lock come first."""
        problems, suspects = working.contradicting(self._root, self._lock, self._stages)
        known = [name for name in self._stages if name.startswith("train@")]
        drawn = known if everything else locks.choose(f"{self._commit} {self._salt}".strip(), known, count)
        chosen = [name for name in known if name in {*drawn, *suspects}]
        others = sorted(set(self._stages) - set(known)) if everything else ["scale"]
        print(
            f"verify: trains {len(chosen)} of {len(known)} runs again: {', '.join(chosen) or 'none'}",
            flush=True,
        )
        self._clone.rerun([*others, *chosen])
        return problems + self._compare(self._clone, self._clone.lock())

    def report(self, folder: Path) -> list[str]:
        """Make the report again, from the recorded runs in another copy, and compare."""
        if remake.STAGE not in self._stages:
            return []
        found, missing = remake.inputs(self._lock, self._stages, self._find)
        if missing:
            _print_unchecked(
                [
                    "the report, which was not made again: neither this folder nor DVC's cache has "
                    f"{locks.listed(missing)} as dvc.lock names it. `dvc pull` brings it, `--all` makes it."
                ]
            )
            return []
        print("verify: makes the report again from the runs that dvc.lock names", flush=True)
        clone = Copy(self._root, self._commit, folder)
        remake.make(clone, found)
        return self._compare(clone, clone.lock())

    def summarize(self) -> None:
        """What was compared, and on what."""
        print(f"verify: {self._comparison.summary(len(self._new))}")
        print("verify: ran on " + ", ".join(f"{key} {value}" for key, value in self._here.items()))
        recorded = environments.recorded(self._record, locks.outputs(self._lock, self._new))
        if not recorded:
            print(f"verify: {environments.FILE} does not say on what these outputs were made")
        for line in environments.compare(recorded, self._here):
            print(f"verify: another environment: {line}")
        self._elsewhere = any(facts.get("processor") != self._here["processor"] for facts in recorded)

    def advice(self) -> str:
        """What to do about differences that a rerun found."""
        said = f"The copy is kept: {self._clone.folder}"
        if self._elsewhere and self._within is None:
            said += (
                "\nAnother kind of processor may round differently: `--tolerance 0.01` compares accuracies."
            )
        return said

    def _compare(self, clone: Copy, new: Lock) -> list[str]:
        self._new |= new
        return [
            line
            for stage, entry in new.items()
            for line in self._comparison.differences(
                stage, entry, clone.folder, self._find, exact=exact(self._lock, new, stage)
            )
        ]

    def _places(self, path: str) -> list[Path]:
        return [self._root / path, self._clone.folder / path]

    def _find(self, path: str, md5: str) -> Files | None:
        found = (originals.find(place, md5, self._cache) for place in self._places(path))
        return next((files for files in found if files is not None), None)

    def _listing(self, path: str, md5: str) -> Mapping[str, str] | None:
        found = (originals.listing(place, md5, self._cache) for place in self._places(path))
        return next((names for names in found if names is not None), None)


def _print_unchecked(sentences: list[str]) -> None:
    for sentence in sentences:
        print(f"verify: not checked: {sentence}")


def _end(problems: list[str], note: str) -> int:
    sys.stdout.flush()  # where both go to one place, in this order
    for problem in problems:
        print(f"  {problem}", file=sys.stderr)
    if problems:
        print(f"verify: {len(problems)} difference(s). {note}", file=sys.stderr)
        return 1
    print("verify: everything compared is equal")
    return 0
