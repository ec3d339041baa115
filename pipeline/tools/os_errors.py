"""What the machine refuses (a full disk, a missing permission), in one line with a way out."""

import errno
import os
import re

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


def describe_os_error(error: OSError) -> str:
    """Say what the machine refused, where, and what to do; empty if the error is of another kind."""
    number = error.errno
    if number is None:  # HDF5 has it in its text; numpy counts what it could write
        number = next((code for code in _REMEDIES if f"errno = {code}," in str(error)), None)
        if re.fullmatch(r"\d+ requested and \d+ written", str(error)):
            number = errno.ENOSPC
    if number not in _REMEDIES:
        return ""
    path = f"{error.filename}: " if error.filename else ""
    return f"{path}{os.strerror(number)}. {_REMEDIES[number]}"
