"""Command `verify`: trains again from nothing, elsewhere, and compares with the committed dvc.lock."""

import contextlib
import functools
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline import params
from pipeline.core.errors import DataError, ParamsError
from pipeline.download.stage import OWN
from pipeline.tools import programs
from pipeline.verify import changes, clone, environments, hashes, lockfile
from pipeline.verify.clone import Clone, Find
from pipeline.verify.differences import Differences, print_unchecked
from pipeline.verify.lockfile import Lock

REPORT = "report"


def verify(runs: int, *, all: bool = False, tolerance: float | None = None, draw: str = "") -> int:  # noqa: A002
    """Compare what the commit's code makes of its data with what its dvc.lock says.

    Args:
        runs: how many runs to train, drawn by the commit's hash and `draw`.
        all: train all runs, and make the report from these.
        tolerance: how far accuracies may differ where an output was made on another kind of processor.

    Returns:
        0; or 1 if anything does not follow from the commit.

    Raises:
        ParamsError: `runs` or `tolerance` cannot be worked with.
        ToolError: this is not a git repository, or a stage does not run.
        DownloadError: the data set is not to be had.
        DataError: a committed file is missing, or is not what the pipeline writes; or own data are not here.
    """
    if runs < 0 or (tolerance is not None and not 0 <= tolerance <= 1):
        raise ParamsError(
            f"--runs {runs} --tolerance {tolerance}: expected 0 or more runs, and a tolerance from 0 to 1."
        )
    root = Path()
    commit = programs.git("rev-parse", "HEAD").strip()
    folder = Path(tempfile.mkdtemp(prefix="verify-"))
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        print(f"verify: commit {commit[:12]} in a clone, {folder}", flush=True)
        study = Clone(root, folder / "study")
        everything = lockfile.read(study.folder / lockfile.FILE)
        with clone.open_repository(root) as repo:
            cache = Path(repo.cache.local.path)
        _bring_own_data(study, everything, functools.partial(hashes.find, folders=(root,), cache=cache))
        with clone.open_repository(study.folder) as repo:
            # What `dvc add` keeps in data/own is no stage.
            stages = [stage.addressing for stage in repo.index.stages if not stage.is_data_source]
            status = repo.status()
        # Entries of stages that are asked for no longer, as DVC leaves them, claim nothing.
        lock = {name: everything[name] for name in stages if name in everything}
        problems = changes.committed(stages, status, lock)
        problems += lockfile.contradictions(lock)
        problems += changes.uncommitted(root, lock)
        if problems:
            return _end(problems, "Nothing was trained: run `dvc repro` and commit what it makes first.")
        outputs = lockfile.outputs(lock)
        differences = Differences(
            root,
            lock,
            {path: md5 for path, md5 in lockfile.outputs(everything).items() if path not in outputs},
            functools.partial(hashes.find, folders=(root, study.folder), cache=cache),
            environments.read(study.folder / environments.FILE),
            tolerance,
        )
        problems, suspects = changes.changed_outputs(root, lock)
        trained = [name for name in stages if name.startswith("train@")]
        drawn = trained if all else draw_runs(f"{commit} {draw}".strip(), trained, runs)
        chosen = [name for name in trained if name in {*drawn, *suspects}]
        names = ", ".join(chosen) or "none"
        print(f"verify: trains {len(chosen)} of {len(trained)} runs again: {names}", flush=True)
        study.rerun(*(sorted(set(stages) - set(trained)) if all else ["scale"]), *chosen)
        differences.add(study)
        if not all and REPORT in lock:
            _remake_report(Clone(study.folder, folder / REPORT), differences)
        note = f"The clone is kept: {study.folder}"
        if _print_summary(differences) and tolerance is None:
            note += (
                "\nAnother kind of processor may round differently: `--tolerance 0.01` compares accuracies."
            )
        if problems := problems + differences.problems:
            cleanup.pop_all()  # the clone stays for a closer look
        return _end(problems, note)


def draw_runs(seed: str, names: Sequence[str], count: int) -> list[str]:
    """Draw `count` of the names by the seed alone, and return them in their order.

    Args:
        seed: the commit's hash, so that everybody draws the same; and what a verifier adds, since who makes a
            commit can make it again until the draw suits.
    """
    drawn = sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())[:count]
    return [name for name in names if name in drawn]


def _bring_own_data(study: Clone, lock: Lock, find: Find) -> None:
    """Copy the data into the clone that git does not hold, as they were when dvc.lock was written.

    Raises:
        DataError: the study is of own data, and others lie here, or none.
    """
    folder = OWN.as_posix()
    recorded = {path: md5 for entry in lock.values() for path, md5 in entry.deps.items() if path == folder}
    missing = study.add(recorded, find)
    if missing and params.load(study.folder / "params.yaml").data.dataset == "own":
        raise DataError(
            f"{folder}: expected the data that the study was made from, with the MD5 {recorded[folder]} of "
            "dvc.lock, got others, or none. Put exactly those there (`dvc pull` brings what `dvc add` "
            "keeps), then run `verify` again."
        )


def _remake_report(copy: Clone, differences: Differences) -> None:
    """Make the report in another clone, from the runs that dvc.lock names: no training, seconds."""
    lock = differences.lock
    used = {
        path: md5
        for path, md5 in lockfile.outputs(lock).items()
        if any(lockfile.inside(path, dep) for dep in lock[REPORT].deps)
    }
    if missing := copy.add(used, differences.find):
        print_unchecked("the report, since it needs", missing, "brings it, `--all` makes it")
        return
    print("verify: makes the report again from the runs that dvc.lock names", flush=True)
    copy.rerun("--single-item", REPORT)
    differences.add(copy)


def _print_summary(differences: Differences) -> bool:
    """Print what was compared, and on what; return whether some of it was made on another processor."""
    stages = len(differences.stages)
    summary = f"{differences.equal} outputs of {stages} stages are those of dvc.lock, byte for byte"
    if differences.near:
        summary += f"; {differences.near} more have accuracies within {differences.within:g}"
    if differences.skipped:
        summary += f"; {differences.skipped} more were not compared"
    here, recorded = differences.here, differences.recorded_environments()
    print(f"verify: {summary}\nverify: ran on {', '.join(f'{key} {value}' for key, value in here.items())}")
    if not recorded:
        print(f"verify: {environments.FILE} does not say on what these outputs were made")
    for line in environments.changed_facts(recorded, here):
        print(f"verify: another environment: {line}")
    return any(facts.get("processor") != here["processor"] for facts in recorded)


def _end(problems: list[str], note: str) -> int:
    sys.stdout.flush()  # where both go to the same file, in this order
    for problem in problems:
        print(f"  {problem}", file=sys.stderr)
    if problems:
        print(f"verify: {len(problems)} difference(s). {note}", file=sys.stderr)
        return 1
    print("verify: everything compared is equal")
    return 0
