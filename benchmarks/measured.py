"""What a command costs as a whole process: `python -m benchmarks.measured MODULE ...`.

It starts the command from a process that holds next to nothing: Linux counts into the peak of a child's
memory what its parent held when it started the child.
"""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple


class Cost(NamedTuple):
    """What a process took.

    Attributes:
        seconds: of wall time.
        processor: seconds of processor time, with those of all processes that the command waited for.
        peak: MB, of the largest single process.
    """

    seconds: float
    processor: float
    peak: float


def measure(folder: Path, *command: str) -> Cost:
    """Run `python -m MODULE ...` in `folder`, a checkout.

    Raises:
        RuntimeError: it failed; with the end of what it printed.
    """
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_TRACKING"))
    }
    whole = [sys.executable, "-m", "benchmarks.measured", *command]
    done = subprocess.run(whole, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return Cost(*json.loads(done.stdout))


def main() -> int:
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", *sys.argv[1:]], stdout=sys.stderr)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    unit = 1e6 if platform.system() == "Darwin" else 1e3
    print(json.dumps([seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit]))
    return child.returncode


if __name__ == "__main__":
    sys.exit(main())
