"""What a rerun made against what dvc.lock says: bytes where they must be equal, else results."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.core import files, runs
from pipeline.core.errors import DataError
from pipeline.verify import environments, hashes, locks, originals, tolerance
from pipeline.verify.locks import Lock, Stage
from pipeline.verify.originals import Files

DATA = ("check", "download", "scale")
"""Stages that no processor may change a bit of."""
ARITHMETIC = ("processor", "gpu", "tensorflow", "keras", "numpy", "h5py", "scikit-learn", "scipy")
"""The facts of environment.json that decide on bits: where these are the same, bytes must be equal."""
TABLE, VERDICT = "report/comparison.csv", "report/verdict.json"
"""The results that git holds, which a tolerance compares with."""

Find = Callable[[str, str], Files | None]
"""From an output's path and MD5 to its files as they were recorded; None if nobody has them."""


class Comparison:
    """Compares outputs, and counts how.

    Args:
        root: the repository.
        clone: a clean copy of the commit; its results are read at once, since a rerun replaces them.
        recorded: the commit's environment.json.
        here: on what the rerun runs.
        within: how far accuracies may be apart where bits may differ; None: nowhere.
    """

    def __init__(
        self,
        root: Path,
        clone: Path,
        lock: Lock,
        recorded: Mapping[str, Any],
        here: Mapping[str, str],
        within: float | None,
    ) -> None:
        self._root, self._lock, self._recorded, self._here = root, lock, recorded, here
        self._within = within
        self._committed = {
            name: (clone / name).read_bytes() for name in (TABLE, VERDICT) if (clone / name).is_file()
        }
        self.equal, self.near, self.skipped = 0, 0, 0

    def differences(
        self, stage: str, after: Stage, folder: Path, find: Find, *, exact: bool
    ) -> Iterable[str]:
        """What is different in a stage's outputs.

        Args:
            folder: where the stage ran.
            exact: whether it ran on the very bytes that dvc.lock names.

        Raises:
            DataError: a result that git holds is not what the stage writes.
        """
        for path, md5 in after.outs.items():
            expected = self._lock[stage].outs.get(path, "none")
            if md5 == expected:
                self.equal += 1
            elif self._within is None or stage in DATA or (exact and self._same_kind(path)):
                yield _joined(
                    f"{path}: dvc.lock says {expected}, the rerun made {md5}.",
                    self._explain(path, md5, folder, find(path, expected)),
                )
            else:
                yield from self._measure(path, folder / path, self._within)

    def summary(self, stages: int) -> str:
        said = f"{self.equal} outputs of {stages} stages are those of dvc.lock, byte for byte"
        if self.near:
            said += f"; {self.near} more have accuracies within {self._within:g}"
        return said + (f"; {self.skipped} more were not compared" if self.skipped else "")

    def _same_kind(self, path: str) -> bool:
        facts = _facts(self._recorded, path)
        return bool(facts) and all(facts.get(key) == self._here.get(key) for key in ARITHMETIC)

    def _explain(self, path: str, got: str, folder: Path, before: Files | None) -> list[str]:
        if before is not None:
            return originals.explain(before, originals.files(folder / path))
        here = self._root / path
        if here.exists() and hashes.md5(here) == got:
            return ["What lies here is what the rerun made: it is dvc.lock that is wrong."]
        return [
            "Neither this folder nor DVC's cache has what dvc.lock names; after `dvc pull` more can be said."
        ]

    def _measure(self, path: str, new: Path, within: float) -> Iterable[str]:
        """Compare accuracies; of what has none, say that it was not compared."""
        if (new / runs.METRICS).is_file():
            metrics = files.read_json(new / runs.METRICS)
            row = tolerance.rows(self._text(TABLE), TABLE).get(
                (metrics.get("learning_rate"), metrics.get("seed"))
            )
            gap, lines = tolerance.compare(row, metrics, within)
        elif path == TABLE:
            after = tolerance.rows(new.read_bytes(), TABLE)
            gap, lines = tolerance.compare_tables(tolerance.rows(self._text(TABLE), TABLE), after, within)
        elif path == VERDICT:
            verdict = tolerance.verdict(self._text(VERDICT), VERDICT)
            gap, lines = tolerance.compare_verdicts(verdict, files.read_json(new), within)
        else:
            self.skipped += 1
            print(f"verify: {path}: other bits, not compared: a tolerance is one of accuracies")
            return
        if lines:
            yield _joined(f"{path}: another result.", lines)
            return
        self.near += 1
        unknown = (
            "" if _facts(self._recorded, path) else f"; {environments.FILE} does not say on what it was made"
        )
        print(f"verify: {path}: other bits, accuracies within {gap:.2g}{unknown}")

    def _text(self, name: str) -> bytes:
        if name not in self._committed:
            raise DataError(
                f"{name}: expected it in the commit, found none. Run `dvc repro`, then commit it."
            )
        return self._committed[name]


def exact(before: Lock, after: Lock, stage: str) -> bool:
    """Whether all that the stage used of other stages has the bytes that `before` names."""
    made = locks.outputs(after, after)
    return all(
        made.get(path) == md5
        for path, md5 in locks.outputs(before, after).items()
        if any(locks.inside(path, dep) for dep in before[stage].deps)
    )


def _facts(recorded: Mapping[str, Any], path: str) -> dict[str, Any]:
    """On what environment.json says that the output at `path` was made, with whatever hash.

    A hash that was edited in dvc.lock alone must not make the comparison a looser one.
    """
    entry = recorded["outputs"].get(path)
    facts = recorded["environments"].get(entry["environment"]) if entry else None
    return facts if isinstance(facts, dict) else {}


def _joined(head: str, lines: Iterable[str]) -> str:
    return "\n".join([head, *(f"    {line}" for line in lines)])
