"""The working folder against the commit: what lies here that the committed dvc.lock does not say."""

from collections.abc import Iterable
from pathlib import Path

from pipeline.tools import programs
from pipeline.verify import hashes, locks
from pipeline.verify.locks import Lock


def uncommitted(root: Path, lock: Lock) -> list[str]:
    """Changes in the working folder that a rerun of the commit would not see; prints those beside the study.

    Args:
        lock: the committed one.
    """
    names = programs.git("diff", "--name-only", "-z", "HEAD", folder=root).split("\0")[:-1]
    problems = []
    if "dvc.lock" in names:
        path = root / "dvc.lock"
        here = locks.read(path) if path.is_file() else {}
        stages = locks.listed(locks.differences(lock, here)) or "its form alone"
        problems.append(
            f"dvc.lock here is not the committed one (different: {stages}). "
            "If `dvc repro` wrote it, commit it; if not, `git checkout dvc.lock`."
        )
    used: dict[str, list[str]] = {}
    for stage, entry in lock.items():
        for name in names:
            if name in entry.outs:
                problems.append(
                    f"{name} here is not the committed one, which {stage} made: `git checkout {name}`."
                )
            elif any(name == dep or name.startswith(f"{dep}/") for dep in entry.deps):
                used.setdefault(name, []).append(stage)
    problems += [
        f"{name} here is not what {locks.listed(stages)} ran with: `dvc repro`, or `git checkout {name}`."
        for name, stages in used.items()
    ]
    outs = {path for entry in lock.values() for path in entry.outs}
    if rest := sorted(set(names) - set(used) - outs - {"dvc.lock"}):
        print(f"verify: not committed, so not looked at: {locks.listed(rest)}")
    return problems


def contradicting(root: Path, lock: Lock, stages: Iterable[str]) -> tuple[list[str], set[str]]:
    """The outputs of `stages` in the working folder that are not those of `lock`, and who made them."""
    problems, suspects = [], set()
    for stage in stages:
        for path, md5 in lock[stage].outs.items():
            there = root / path
            if there.exists() and (got := hashes.md5(there)) != md5:
                suspects.add(stage)
                problems.append(
                    f"{path} here is not what dvc.lock says: expected the MD5 {md5}, got {got}. "
                    f"`dvc checkout {path}` brings the recorded one back, `dvc repro -f` makes it again."
                )
    return problems, suspects
