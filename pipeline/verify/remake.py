"""The report made again from the runs that dvc.lock names: no training, seconds."""

import shutil
from pathlib import Path

from pipeline.verify import locks
from pipeline.verify.clone import Copy
from pipeline.verify.comparison import Find
from pipeline.verify.locks import Lock
from pipeline.verify.originals import Files

STAGE = "report"


def inputs(lock: Lock, stages: list[str], find: Find) -> tuple[dict[str, Files], list[str]]:
    """What the report rests on of other stages' outputs, with the very hashes of dvc.lock.

    Returns:
        The files of each output, by its path (of an output that is a file, its name in it is empty); and the
        outputs that nobody has.
    """
    found, missing = {}, []
    for path, md5 in locks.outputs(lock, stages).items():
        if any(locks.inside(path, dep) for dep in lock[STAGE].deps):
            if (own := find(path, md5)) is None:
                missing.append(path)
            else:
                found[path] = own if md5.endswith(".dir") else {"": own[Path(path).name]}
    return found, missing


def make(clone: Copy, outputs: dict[str, Files]) -> None:
    """Lay the outputs into a clean copy, and make the report there.

    Raises:
        ToolError: the stage fails.
    """
    for path, own in outputs.items():
        for name, source in own.items():
            target = clone.folder / path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    clone.rerun_alone(STAGE)
