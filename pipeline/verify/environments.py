"""environment.json: on what each output was made, committed beside dvc.lock.

No output may name the machine it was made on, or two machines could not agree on dvc.lock. So this file is
no output of DVC: `make repro` and sweeps write it, and `verify` compares it with where it runs.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.core import files
from pipeline.core.errors import DataError, PipelineError
from pipeline.tools import exit_codes, machine
from pipeline.tools.exit_codes import ExitCodes
from pipeline.verify import lockfile
from pipeline.verify.lockfile import Lock

FILE = "environment.json"

Makers = Mapping[str, Mapping[str, str] | None]
"""By an output's path, `machine.describe` of where it was made; None if nobody knows."""


@contextlib.contextmanager
def recording(makers: Makers | None = None) -> Iterator[ExitCodes]:
    """Bring the record up to date when the block ends, also where it fails with a part of the work done.

    Args:
        makers: of the outputs that stages made elsewhere, filled in meanwhile.

    Raises:
        DataError: the work is done, and the record cannot be read.
    """
    with exit_codes.collected() as codes:
        try:
            yield codes
        except BaseException:  # not to be hidden by what follows from it
            with contextlib.suppress(PipelineError, OSError):
                update(makers=makers, exits=codes.read())
            raise
        update(makers=makers, exits=codes.read())


def update(
    root: Path = Path(), makers: Makers | None = None, *, exits: Mapping[str, int] | None = None
) -> None:
    """Note for every output of dvc.lock that is new or changed on what it was made.

    Args:
        makers: of the outputs that were not made here.
        exits: the exit code of each stage that ran here and now. What no such stage made may have come from a
            remote or the run cache, so nobody knows where it was made. None: all stages ran.

    Raises:
        DataError: dvc.lock or the record cannot be read.
    """
    if not (root / lockfile.FILE).is_file():
        return
    lock, before = lockfile.read(root / lockfile.FILE), read(root / FILE)
    restored = {name: stage for name, stage in lock.items() if exits is not None and exits.get(name) != 0}
    makers = dict.fromkeys(lockfile.outputs(restored)) | dict(makers or {})
    after = advance(before, lock, machine.describe(), makers)
    if after != before:
        files.write_json(root / FILE, after)


def read(path: Path) -> dict[str, Any]:
    """Read the record; empty where there is none yet.

    Raises:
        DataError: it is damaged.
    """
    if not path.is_file():
        return {"environments": {}, "outputs": {}}
    content: Any = files.read_json(path)
    with contextlib.suppress(TypeError, KeyError, AttributeError):
        known = {name for name, facts in content["environments"].items() if isinstance(facts, dict)}
        if {entry["environment"] for entry in content["outputs"].values()} <= known:
            return dict(content)
    raise DataError(
        f"{path}: expected `environments` and `outputs` as `make repro` writes them, got something else. "
        "Bring it back with git, or remove it: `make repro` writes it again."
    )


def advance(
    before: Mapping[str, Any], lock: Lock, here: Mapping[str, str], makers: Makers | None = None
) -> dict[str, Any]:
    """Make the record of `lock`'s outputs, without those of which nobody knows where they were made.

    What it knows with the same hash stays: whoever pulls an output from a remote did not make it.
    """
    environments, outputs = dict(before["environments"]), {}
    for path, md5 in sorted(lockfile.outputs(lock).items()):
        known = before["outputs"].get(path)
        if known and known.get("md5") == md5:
            outputs[path] = known
        elif (maker := (makers or {}).get(path, here)) is not None:
            name = hashlib.sha256(json.dumps(maker, sort_keys=True).encode()).hexdigest()[:12]
            environments[name] = dict(maker)
            outputs[path] = {"md5": md5, "environment": name}
    used = {entry["environment"] for entry in outputs.values()}
    return {"environments": {key: environments[key] for key in sorted(used)}, "outputs": outputs}


def facts(record: Mapping[str, Any], path: str) -> dict[str, str]:
    """Look up on what the output at `path` was made; empty where the record does not know it.

    Its hash has no say: one that was edited in dvc.lock alone must not make a comparison a looser one.
    """
    entry = record["outputs"].get(path)
    return dict(record["environments"][entry["environment"]]) if entry else {}


def changed_facts(before: Iterable[Mapping[str, str]], here: Mapping[str, str]) -> list[str]:
    """Write a line for each fact that was another when outputs were made."""
    lines = (
        f"{key}: {then.get(key, 'none')} then, {here.get(key, 'none')} now"
        for then in before
        for key in sorted({*then, *here})
        if then.get(key) != here.get(key)
    )
    return list(dict.fromkeys(lines))
