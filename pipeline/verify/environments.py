"""environment.json: on what each output was made, committed beside dvc.lock.

No output may tell the machine it was made on, or two machines could not agree on dvc.lock. So this file is
no output of DVC: `make repro` and sweeps write it when they are done, and `verify` compares it with where
it runs.
"""

import contextlib
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.core import files
from pipeline.core.errors import DataError, PipelineError
from pipeline.tools import exit_codes, machine
from pipeline.tools.exit_codes import Endings
from pipeline.verify import locks
from pipeline.verify.locks import Lock

FILE = "environment.json"


Makers = Mapping[str, Mapping[str, str] | None]
"""By an output's path, `machine.describe` of where it was made; None if nobody knows."""


def update(root: Path = Path(), makers: Makers | None = None, *, ran: Collection[str] | None = None) -> bool:
    """Note for every output of dvc.lock that is new or changed on what it was made.

    Outputs that the file knows with the same hash keep what it says about them: whoever pulls them from a
    remote did not make them.

    Args:
        makers: of the outputs that were not made here.
        ran: the stages that made all others, here and now. What other stages made may have come from a
            remote or the run cache, so nobody knows where it was made. None: all stages ran.

    Returns:
        Whether the file changed.

    Raises:
        DataError: there is no dvc.lock, or either file cannot be read.
    """
    lock = root / "dvc.lock"
    if not lock.is_file():
        raise DataError(f"{lock}: expected the study's dvc.lock, found none. Run `dvc repro` to make it.")
    before = read(root / FILE)
    content = locks.parse(lock.read_text(encoding="utf-8"), str(lock))
    if ran is not None:
        brought = (path for name, stage in content.items() if name not in ran for path in stage.outs)
        makers = dict.fromkeys(brought) | dict(makers or {})
    after = advance(before, content, machine.describe(), makers)
    if after == before:
        return False
    files.write_json(root / FILE, after)
    return True


@contextlib.contextmanager
def kept(makers: Makers | None = None) -> Iterator[Endings]:
    """Bring the record up to date when the block ends, also where it fails with a part of the work done.

    Args:
        makers: of the outputs that stages made elsewhere, filled in meanwhile.

    Raises:
        DataError: the work is done, and the record cannot be read.
    """
    with exit_codes.collected() as ended:
        done = False
        try:
            yield ended
            done = True
        finally:
            # No reason to stop is hidden by what follows from it.
            with contextlib.nullcontext() if done else contextlib.suppress(PipelineError, OSError):
                if Path("dvc.lock").is_file():
                    update(makers=makers, ran=ended.done())


def read(path: Path) -> dict[str, Any]:
    """The record; empty where there is none yet.

    Raises:
        DataError: it is damaged.
    """
    if not path.is_file():
        return {"environments": {}, "outputs": {}}
    content: Any = files.read_json(path)
    shape = isinstance(content, dict) and all(
        isinstance(content.get(key), dict) for key in ("environments", "outputs")
    )
    if not shape or not all(
        isinstance(entry, dict) and entry.get("environment") in content["environments"]
        for entry in content["outputs"].values()
    ):
        raise DataError(
            f"{path}: expected `environments` and `outputs` as `make repro` writes them, got something else. "
            "Bring it back with git, or remove it: `make repro` writes it again."
        )
    return dict(content)


def advance(
    before: Mapping[str, Any], lock: Lock, here: Mapping[str, str], makers: Makers | None = None
) -> dict[str, Any]:
    """The record of `lock`'s outputs: known ones stay as they were, the others are their makers'. Pure.

    An output of which nobody knows where it was made is left out.
    """
    environments, outputs = dict(before["environments"]), {}
    for stage in lock.values():
        for path, md5 in stage.outs.items():
            known = before["outputs"].get(path)
            if known and known.get("md5") == md5:
                outputs[path] = known
            elif (maker := (makers or {}).get(path, here)) is not None:
                name = hashlib.sha256(json.dumps(maker, sort_keys=True).encode()).hexdigest()[:12]
                environments[name] = dict(maker)
                outputs[path] = {"md5": md5, "environment": name}
    used = {entry["environment"] for entry in outputs.values()}
    return {
        "environments": {key: environments[key] for key in sorted(used)},
        "outputs": dict(sorted(outputs.items())),
    }


def recorded(record: Mapping[str, Any], outputs: Mapping[str, str]) -> list[dict[str, str]]:
    """On what these outputs (path and MD5) were made; none where the record does not know them."""
    names = {
        entry["environment"]
        for path, md5 in outputs.items()
        if (entry := record["outputs"].get(path)) and entry.get("md5") == md5
    }
    return [record["environments"][name] for name in sorted(names)]


def compare(before: Iterable[Mapping[str, str]], here: Mapping[str, str]) -> list[str]:
    """A line for each fact that was another when the outputs were made."""
    lines: dict[str, None] = {}
    for facts in before:
        for key in sorted({*facts, *here}):
            if facts.get(key) != here.get(key):
                lines[f"{key}: {facts.get(key, 'none')} then, {here.get(key, 'none')} now"] = None
    return list(lines)
