"""Run a command on a machine without a network: `python -m tools.offline make demo`. Linux, as root.

The command gets a network namespace of its own in which there is nothing but the loopback interface; whoever
needs more fails at once. What runs there and ends well needs no network, and reached none.
"""

# ruff: noqa: S606 - the process becomes the command

import fcntl
import os
import socket
import struct
import sys

_SIOCSIFFLAGS = 0x8914
_UP, _RUNNING = 0x1, 0x40
_INSIDE = "LEARNING_RATE_STUDY_OFFLINE"


def main() -> None:
    command = sys.argv[1:]
    if not command:
        raise SystemExit("usage: python -m tools.offline COMMAND...")
    if _INSIDE not in os.environ:
        os.environ[_INSIDE] = "yes"
        os.execvp("unshare", ["unshare", "--net", sys.executable, "-m", "tools.offline", *command])
    with socket.socket() as any_socket:  # a new namespace's loopback is down
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _UP | _RUNNING))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
