"""The processor that computes: another one may round differently."""

import platform
import re
import subprocess
from pathlib import Path

_ARITHMETIC = ("sse4", "avx", "fma", "amx", "bf16", "asimd", "sve")


def processor() -> str:
    """Name the model and the flags that decide which arithmetic TensorFlow chooses, in one line."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        first = cpuinfo.read_text(encoding="utf-8").split("\n\n")[0]
        fields = dict(re.split(r"\s*:\s*", line, maxsplit=1) for line in first.splitlines())
        flags = fields.get("flags", fields.get("Features", "")).split()
        chosen = sorted(flag for flag in flags if flag.startswith(_ARITHMETIC) or flag.endswith("bf16"))
        return f"{fields.get('model name', platform.machine())} ({' '.join(chosen)})"
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return platform.processor() or platform.machine()
