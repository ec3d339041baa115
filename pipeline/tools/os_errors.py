"""What the machine refuses (a full disk, a permission, memory, a package), in one line with a way out."""

import errno
import os
import re
import sys

_REMEDIES = {
    errno.ENOSPC: "Make room, then run the same command again; what was finished is kept.",
    errno.EDQUOT: "Make room in the quota, then run the same command again; what was finished is kept.",
    errno.EROFS: "Mount it so that it can be written, or work in a copy elsewhere.",
    errno.EACCES: "Give this user the permission, or work in a copy elsewhere.",
    errno.EPERM: "Give this user the permission, or work in a copy elsewhere.",
    errno.EIO: "The disk failed: check it before anything else.",
    errno.EMFILE: "Allow more open files (`ulimit -n 4096`).",
    errno.ENAMETOOLONG: "Work in a folder with a shorter path.",
}

_MEMORY = (
    "Give it more memory (the limit is that of `ulimit -v`, a container or a batch system), or train smaller "
    "batches; a library that is to be loaded must not lie on a disk that is mounted with noexec."
)


def describe_os_error(error: OSError | ImportError | MemoryError) -> str:
    """Say what the machine refused, where, and what to do; empty if the error is of another kind."""
    if isinstance(error, MemoryError) or "failed to map segment" in str(error):
        return f"{str(error) or 'Out of memory'}. {_MEMORY}"
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.partition(".")[0] != "pipeline":
        return (
            f"{sys.executable}: expected the packages of requirements/runtime.txt, found no {error.name}. "
            "Activate the environment, `source .venv/bin/activate`; `make .venv/.runtime` makes it."
        )
    number = getattr(error, "errno", None)
    if number is None:  # HDF5 has it in its text; numpy counts what it could write
        number = next((code for code in _REMEDIES if f"errno = {code}," in str(error)), None)
        if re.fullmatch(r"\d+ requested and \d+ written", str(error)):
            number = errno.ENOSPC
    if number not in _REMEDIES:
        return ""
    path = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    return f"{path}{os.strerror(number)}. {_REMEDIES[number]}"
