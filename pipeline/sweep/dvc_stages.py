"""The train stages as DVC sees them: which are stale, which its run cache holds, and how a run is committed.

A sweep does with each train stage what `dvc repro` does, through the same classes, with two differences that
make its cost per run small and even. Each dep is looked at once for all stages instead of ten times for each.
And dvc.lock, which DVC rewrites as a whole for every stage, is written once at the end; until then a finished
run is safe in the run cache, where `dvc repro` and the next sweep find it whatever happens to this process.

Most of this is not DVC's public interface. It was tried with DVC 3.67.1.
"""

import contextlib
import copy
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dvc.dependency import Dependency, ParamsDependency
from dvc.dvcfile import LOCK_FILE
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.repo.reproduce import plan_repro
from dvc.rwlock import rwlock
from dvc.stage import serialize
from dvc.stage.cache import RunCacheNotFoundError
from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

from pipeline.core import files, run_keys
from pipeline.core.errors import ToolError
from pipeline.sweep import SweepRun
from pipeline.tools import repair

_STAGE = "train"


class TrainStage(NamedTuple):
    """A train stage of dvc.yaml.

    Attributes:
        scaled, folder: of its data, and of its outputs.
        stage: DVC's.
    """

    run: SweepRun
    scaled: Path
    folder: Path
    stage: Any


class Plan(NamedTuple):
    """Every train stage, by what `dvc repro` would do with it: nothing, restore its outputs, or train."""

    current: list[TrainStage]
    restorable: list[TrainStage]
    stale: list[TrainStage]


class _KnownDep:
    """A dep as it was when the runs were planned: DVC would look at it ten times for each of them."""

    hash_info: Any

    def get_hash(self) -> Any:
        return self.hash_info

    def status(self) -> dict[str, str]:
        return {}

    def save(self) -> None:
        """Keep what is known."""


class _KnownFile(_KnownDep, Dependency):  # type: ignore[misc]
    pass


class _KnownParams(_KnownDep, ParamsDependency):  # type: ignore[misc]
    pass


def _look_at(dep: Any) -> Any:
    """Ask DVC what a dep is now."""
    dep.save()
    if isinstance(dep, ParamsDependency):
        known = _KnownParams(dep.stage, dep.fs_path, dep.params)
    else:
        known = _KnownFile(dep.stage, dep.fs_path)
    known.hash_info, known.meta = dep.hash_info, dep.meta
    return known


@contextlib.contextmanager
def _dvc_errors() -> Iterator[None]:
    """Turn DVC's errors into those that a person can act on; also a decorator."""
    try:
        yield
    except LockError as error:
        raise ToolError(
            f"DVC: expected nobody else at work on these runs, got: {error}\n"
            "Wait for that process, or end it, then start the sweep again."
        ) from error
    except DvcException as error:
        raise ToolError(f"DVC: {error}. What was finished is kept.") from error


class Stages:
    """The stages of the repository in the current folder; waits while another DVC process holds its lock.

    Attributes:
        upstream: DVC's stages that the train stages need.
        others: those that are neither train stages nor needed by them.
    """

    @_dvc_errors()
    def __init__(self) -> None:
        repair.dvc_files(Path())
        self._repo = Repo(str(Path.cwd()), _wait_for_lock=True)
        with self._repo.lock:  # not `lock_repo`: it forgets all that DVC has read, each time
            index = self._repo.index
        self._train = [stage for stage in index.stages if stage.addressing.startswith(f"{_STAGE}@")]
        order, needed = (plan_repro(index.graph, stages) for stages in (None, self._train))
        train, wanted = set(self._train), set(needed)
        self.upstream = [stage for stage in needed if stage not in train]
        self.others = [stage for stage in order if stage not in wanted]
        # Runs arrive in any order; in dvc.lock they stand in the one in which `dvc repro` trains them.
        self._position = {stage: position for position, stage in enumerate(order)}
        self._unwritten: list[Any] = []

    def close(self) -> None:
        self._repo.close()

    @_dvc_errors()
    def data_is_stale(self) -> bool:
        """Decide whether a stage that the train stages need would run."""
        with self._repo.lock:
            return any(stage.changed() for stage in self.upstream)

    def reproduce(self, stages: Sequence[Any]) -> None:
        """Do what `dvc repro` does with each of these stages of DVC's; write dvc.lock.

        Raises:
            ToolError: a stage failed; its own message stands above. The others are in dvc.lock all the same.
        """
        try:
            with _dvc_errors(), self._repo.lock, self._repo.scm_context(quiet=True):
                for stage in stages:
                    if stage.reproduce():
                        self._unwritten.append(stage)
        finally:
            self.write_lock()

    @_dvc_errors()
    def plan(self, inputs: Mapping[str, Any]) -> Plan:
        """Ask DVC about every train stage; from now on its deps are what they are at this moment.

        Args:
            inputs: of `run_keys.inputs`.
        """
        plan, known = Plan([], [], []), dict[tuple[str, ...], Any]()
        with self._repo.lock:
            for stage in self._train:
                run = _train_stage(stage, inputs)
                recorded = [dep.hash_info for dep in stage.deps]
                for number, dep in enumerate(stage.deps):  # most stages have the same: one look is enough
                    name = (dep.fs_path, *getattr(dep, "params", ()))
                    if name not in known:
                        known[name] = _look_at(dep)
                    stage.deps[number] = known[name]
                if stage.changed_stage() or recorded != [dep.hash_info for dep in stage.deps]:
                    for out in stage.outs:  # those in dvc.lock are of other deps: only the run cache counts
                        out.clear()
                elif not stage.changed_outs():
                    plan.current.append(run)
                    continue
                (plan.restorable if self._is_restorable(stage) else plan.stale).append(run)
        return plan

    @contextlib.contextmanager
    def reserve(self, folder: Path) -> Iterator[None]:
        """Keep other DVC processes from reading or writing below `folder`, as DVC does for its own stages.

        Everything else in the repository stays usable; `dvc status` and `dvc push` work meanwhile.

        Raises:
            ToolError: one of them is reading or writing there now.
        """
        hardlink = self._repo.config["core"].get("hardlink_lock", False)
        arguments = (self._repo.tmp_dir, self._repo.fs, " ".join(sys.argv))
        with contextlib.ExitStack() as stack:
            with _dvc_errors():
                # One entry for the folder of all runs: DVC compares each path with each in this list.
                stack.enter_context(rwlock(*arguments, [], [str(folder.resolve())], hardlink))
            yield

    def restore(self, runs: Sequence[TrainStage]) -> None:
        """Bring outputs back from the run cache, and commit them."""
        for run in runs:
            with _dvc_errors(), self._repo.lock:
                run.stage.remove_outs()
                self._repo.stage_cache.restore(run.stage)
            self.commit(run)

    @_dvc_errors()
    def commit(self, run: TrainStage) -> None:
        """Enter outputs that are new in their folder into DVC's cache and its run cache.

        They belong to the deps of the plan, which the run was trained from: a file that was edited since is
        found changed by the next command.
        """
        with self._repo.lock, self._repo.scm_context(quiet=True):
            run.stage.save()
            run.stage.commit()
        self._unwritten.append(run.stage)

    @_dvc_errors()
    def write_lock(self) -> None:
        """Add what is new to dvc.lock, all at once: DVC, which writes in place, leaves half when killed."""
        if not self._unwritten:
            return
        with self._repo.lock, self._repo.scm_context(quiet=True):
            path, content = Path(LOCK_FILE), {"schema": "2.0", "stages": {}}
            if path.exists():
                content |= parse_yaml_for_update(path.read_text(encoding="utf-8"), LOCK_FILE)
            for stage in sorted(self._unwritten, key=self._position.__getitem__):
                # A copy: YAML writes a list that several stages share as a reference to the first.
                content["stages"] |= copy.deepcopy(serialize.to_lockfile(stage))
            files.write_text(path, dumps_yaml(content))
            self._repo.scm_context.track_file(LOCK_FILE)
        self._unwritten.clear()

    def _is_restorable(self, stage: Any) -> bool:
        try:
            self._repo.stage_cache.restore(stage, dry=True)
        except RunCacheNotFoundError:
            return False
        return True


def _train_stage(stage: Any, inputs: Mapping[str, Any]) -> TrainStage:
    """Read rate and seed from the stage's name, `train@<rate>-<seed>`, as DVC's matrix writes it.

    Raises:
        ToolError: the stage's command is not the one that a sweep carries out.
    """
    rate, _, seed = stage.name.removeprefix(f"{_STAGE}@").rpartition("-")
    (out,) = stage.outs
    folder, scaled = Path(os.path.relpath(out.fs_path)), Path(*str(stage.cmd).split()[-2:-1])
    command = f"python -m pipeline {_STAGE} --learning_rate {rate} --seed {seed} {scaled} {folder.parents[1]}"
    if stage.cmd != command:
        raise ToolError(
            f"dvc.yaml, stage {stage.addressing}: expected the command `{command}`, got `{stage.cmd}`. "
            "A sweep cannot know what that does: use `dvc repro`."
        )
    run_key = run_keys.key_of(inputs, float(rate), int(seed))
    return TrainStage(SweepRun(float(rate), int(seed), run_key), scaled, folder, stage)
