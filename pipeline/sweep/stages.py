"""DVC's books: which runs are stale, which of them its run cache holds, and how a new one is entered.

It is what `dvc repro` does with each train stage, through the same classes of DVC's, with two differences
that make its cost per run small and even. All train stages have the same deps, so each dep is hashed once
instead of once a stage (`dvc repro` parses params.yaml and pyproject.toml anew for each). And dvc.lock, which
DVC rewrites as a whole for every stage, is written once at the end. Until then a finished run is safe in
DVC's run cache, where `dvc repro` and the next sweep find it whatever happens to this process.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.repo.reproduce import plan_repro
from dvc.rwlock import rwlock
from dvc.stage.cache import RunCacheNotFoundError

from pipeline.core.errors import ToolError
from pipeline.sweep import lockfile
from pipeline.tools import repair

_STAGE = "train"


class Entry(NamedTuple):
    """A train stage, as its command tells it.

    Attributes:
        scaled, folder: where its data is, and where its outputs belong.
        stage: DVC's.
    """

    learning_rate: float
    seed: int
    scaled: Path
    folder: Path
    stage: Any

    @property
    def name(self) -> str:
        return f"learning rate {self.learning_rate}, seed {self.seed}"


class Plan(NamedTuple):
    """Every train stage, by what is to be done about it."""

    current: list[Entry]
    restorable: list[Entry]
    stale: list[Entry]


class Books:
    """The books of the repository at `root`. Waits while another DVC process holds the repository's lock."""

    def __init__(self, root: Path = Path()) -> None:
        repair.dvc_files(root)
        with _explained():
            self._repo = Repo(str(root.resolve()), _wait_for_lock=True)
            with self._repo.lock:  # not `lock_repo`: it forgets all that DVC has read, each time
                index = self._repo.index
            self._runs = [one for one in index.stages if getattr(one, "name", "").startswith(f"{_STAGE}@")]
            graph = index.graph
            known = set(self._runs)
            self._before = [stage for stage in plan_repro(graph, self._runs) if stage not in known]
            known |= set(self._before)
            order = plan_repro(graph)
            self._after = [stage for stage in order if stage not in known]
            # Runs arrive in any order; in dvc.lock they stand in the one in which `dvc repro` trains them.
            self._position = {stage: position for position, stage in enumerate(order)}
        self._unwritten: list[Any] = []

    def close(self) -> None:
        self._repo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def before_is_stale(self) -> bool:
        """Whether a stage that the train stages need would run."""
        with _explained(), self._repo.lock:
            return any(stage.changed() for stage in self._before)

    def reproduce_before(self) -> None:
        """`dvc repro` for what the train stages need: the data.

        Raises:
            ToolError: a stage failed; its own message stands above.
        """
        self._reproduce(self._before)

    def plan(self) -> Plan:
        """Ask of every train stage what DVC would do with it; changes nothing."""
        plan = Plan([], [], [])
        known: dict[object, tuple[Any, Any]] = {}
        with _explained(), self._repo.lock:
            for stage in self._runs:
                recorded = [dep.hash_info for dep in stage.deps]
                for dep in stage.deps:
                    lockfile.hash_once(known, dep)
                same = recorded == [dep.hash_info for dep in stage.deps] and not stage.changed_stage()
                if same and not any(out.status() for out in stage.outs):
                    plan.current.append(_entry(stage))
                    continue
                if not same:  # the outputs in dvc.lock belong to other deps: only the run cache counts
                    for out in stage.outs:
                        out.clear()
                found = plan.restorable if self._is_restorable(stage) else plan.stale
                found.append(_entry(stage))
        return plan

    @contextlib.contextmanager
    def reserving(self, folder: Path) -> Iterator[None]:
        """Keep other DVC processes from reading or writing below `folder`, as DVC does for its own stages.

        Everything else in the repository stays usable; `dvc status` and `dvc push` work meanwhile.

        Raises:
            ToolError: one of them is reading or writing there now.
        """
        hardlink = self._repo.config["core"].get("hardlink_lock", False)
        arguments = (self._repo.tmp_dir, self._repo.fs, " ".join(sys.argv))
        with contextlib.ExitStack() as stack:
            with _explained():
                # One entry for the folder of all runs: DVC compares each path with each in this list.
                stack.enter_context(rwlock(*arguments, [], [str(folder.resolve())], hardlink))
            yield

    def restore(self, entries: Sequence[Entry]) -> None:
        """Bring outputs back from the run cache, and record them."""
        with _explained(), self._repo.lock, self._repo.scm_context(quiet=True):
            for entry in entries:
                entry.stage.remove_outs(ignore_remove=False, force=False)
                self._repo.stage_cache.restore(entry.stage)
                self._enter(entry.stage)

    def record(self, entries: Sequence[Entry]) -> None:
        """Enter outputs that are new in their folders into the cache and the run cache."""
        with _explained(), self._repo.lock, self._repo.scm_context(quiet=True):
            for entry in entries:
                self._enter(entry.stage)

    def write_lock(self) -> None:
        """Write to dvc.lock what was recorded since the last time."""
        if self._unwritten:
            with _explained(), self._repo.lock:
                self._write()

    def reproduce_after(self) -> None:
        """`dvc repro` for everything else: every train stage has just been recorded. Writes dvc.lock.

        Raises:
            ToolError: a stage failed; its own message stands above. The runs are in dvc.lock all the same.
        """
        self._reproduce(self._after)

    def _reproduce(self, stages: Sequence[Any]) -> None:
        with _explained(), self._repo.lock, self._repo.scm_context(quiet=True):
            try:
                for stage in stages:
                    self._unwritten += [stage] if stage.reproduce() else []
            finally:
                self._write()

    def _is_restorable(self, stage: Any) -> bool:
        try:
            self._repo.stage_cache.restore(stage, dry=True)
        except RunCacheNotFoundError:
            return False
        return True

    def _enter(self, stage: Any) -> None:
        stage.save()
        stage.commit()
        self._unwritten.append(stage)

    def _write(self) -> None:
        stages, self._unwritten = self._unwritten, []
        if stages:
            lockfile.update(self._repo, sorted(stages, key=self._position.__getitem__))


def _entry(stage: Any) -> Entry:
    """Read rate and seed from the stage's name, `train@<rate>-<seed>`, as DVC's matrix writes it.

    Raises:
        ToolError: the stage's command is not the one that a sweep carries out.
    """
    rate, _, seed = stage.name.removeprefix(f"{_STAGE}@").rpartition("-")
    (out,) = stage.outs
    scaled, folder = Path(stage.deps[0].def_path), Path(os.path.relpath(out.fs_path))
    command = f"python -m pipeline {_STAGE} --learning_rate {rate} --seed {seed} {scaled} {folder.parents[1]}"
    if stage.cmd != command:
        raise ToolError(
            f"dvc.yaml, stage {stage.addressing}: expected the command `{command}`, got `{stage.cmd}`. "
            "A sweep cannot know what that does: use `dvc repro`."
        )
    return Entry(float(rate), int(seed), scaled, folder, stage)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except LockError as error:
        raise ToolError(
            f"DVC: expected nobody else at work on these runs, got: {error}\n"
            "Wait for that process, or end it, then start the sweep again."
        ) from error
    except DvcException as error:
        raise ToolError(f"DVC: {error}. What was finished is kept.") from error
