"""Command `verify`: trains again from nothing, elsewhere, and compares with the committed dvc.lock."""

import contextlib
import functools
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.core import machine
from pipeline.core.errors import ParamsError
from pipeline.download.stage import OWN
from pipeline.tools import programs, repair
from pipeline.verify import changes, clone, lockfile
from pipeline.verify.clone import Clone, Find
from pipeline.verify.differences import compare
from pipeline.verify.lockfile import Lock

REPORT = "report"
_HERE = ", in this folder: commit what `dvc repro` makes of it, or bring it back (git, `dvc checkout`)."


def verify(runs: int, *, all: bool = False, draw: str = "") -> int:  # noqa: A002 - the option's name
    """Compare what the commit's code makes of its data with what its dvc.lock says.

    Args:
        runs: how many runs to train, drawn by the commit's hash and `draw`.
        all: train all runs, and make the report from these.

    Returns:
        0; or 1 if anything does not follow from the commit.

    Raises:
        ParamsError: a negative number of runs.
        ToolError: this is not a git repository, or a stage does not run.
        DownloadError: no source delivered the data set.
        DataError: dvc.lock is missing, or is not what DVC writes.
    """
    if runs < 0:
        raise ParamsError(f"--runs {runs}: expected 0 or more.")
    root = Path()
    repair.check_git(root)
    commit = programs.git("rev-parse", "HEAD").strip()
    folder = Path(tempfile.mkdtemp(prefix="verify-"))
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        # DVC knows files by time and size in a table that lies there: it is to read every byte.
        os.environ["DVC_SITE_CACHE_DIR"] = str(folder / "site")
        print(f"verify: commit {commit[:12]} in a clone, {folder}", flush=True)
        study = Clone(root, folder / "study")
        everything = lockfile.read(study.folder / lockfile.FILE)
        with clone.open_repository(root) as repo, repo.lock:
            find = functools.partial(clone.find, root=root, cache=Path(repo.cache.local.path))
            here: dict[str, Any] = {}
            for stage in repo.index.stages:
                for out in stage.outs:
                    out.use_cache = False  # or DVC says of what its cache lacks no more than that
                here |= stage.status()
        own = OWN.as_posix()  # git does not hold what lies there
        deps = [item for entry in everything.values() for item in entry.deps.items()]
        study.add({path: md5 for path, md5 in deps if path == own}, find)
        with clone.open_repository(study.folder) as repo:
            # What `dvc add` keeps in data/own is not a stage.
            stages = [stage.addressing for stage in repo.index.stages if not stage.is_data_source]
            status = repo.status()
        # Entries of stages that are asked for no longer, as DVC leaves them, claim nothing.
        lock = {name: everything[name] for name in stages if name in everything}
        stray = lockfile.outputs(everything).keys() - lockfile.outputs(lock)
        problems = changes.since(lock, status, changes.ABSENT_IN_CLONE, ": dvc.lock does not follow from it.")
        problems += changes.since(lock, here, changes.ABSENT_HERE, _HERE)
        if unknown := [name for name in stages if name not in lock]:
            problems.append(
                f"dvc.lock does not know {lockfile.first_few(unknown)}, which params.yaml asks for."
            )
        if lockfile.read(root / lockfile.FILE) != everything:
            problems.append("dvc.lock here is not the committed one.")
        if problems:
            return _end(problems, "Nothing was trained: run `dvc repro` and commit what it makes first.")
        trained = [name for name in stages if name.startswith("train@")]
        drawn = trained if all else draw_runs(f"{commit} {draw}".strip(), trained, runs)
        names = ", ".join(drawn) or "none"
        print(f"verify: trains {len(drawn)} of {len(trained)} runs again: {names}", flush=True)
        study.rerun(*(sorted(set(stages) - set(trained)) if all else ["scale"]), *drawn)
        problems = compare(lock, stray, study, find)
        if not all and REPORT in lock:
            copy = Clone(study.folder, folder / REPORT)
            if _remake_report(copy, lock, find):
                problems += compare(lock, stray, copy, find)
        print(f"verify: ran on {machine.processor()}")
        if problems:
            cleanup.pop_all()  # the clone stays for a closer look
        return _end(problems, f"The clone is kept: {study.folder}")


def draw_runs(seed: str, names: Sequence[str], count: int) -> list[str]:
    """Draw `count` of the names by the seed alone, and return them in their order.

    Args:
        seed: the commit's hash, so that everybody draws the same; and what a verifier adds, since who makes a
            commit can make it again until the draw suits.
    """
    drawn = sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())[:count]
    return [name for name in names if name in drawn]


def _remake_report(copy: Clone, lock: Lock, find: Find) -> bool:
    """Make the report from the runs that dvc.lock names, if they are available: no training, seconds."""
    outputs, deps = lockfile.outputs(lock).items(), lock[REPORT].deps
    used = {path: md5 for path, md5 in outputs if any(lockfile.inside(path, dep) for dep in deps)}
    if missing := copy.add(used, find):
        print(
            f"verify: not checked: the report, since it needs {lockfile.first_few(missing)}, which neither "
            "this folder nor DVC's cache has as dvc.lock names it. `dvc pull` brings it, `--all` makes it."
        )
        return False
    print("verify: makes the report again from the runs that dvc.lock names", flush=True)
    copy.rerun("--single-item", REPORT)
    return True


def _end(problems: list[str], note: str) -> int:
    sys.stdout.flush()  # where both go to the same file, in this order
    for problem in problems:
        print(f"  {problem}", file=sys.stderr)
    if problems:
        print(f"verify: {len(problems)} difference(s). {note}", file=sys.stderr)
        return 1
    print("verify: everything compared is equal")
    return 0
