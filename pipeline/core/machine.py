"""What this process runs on: recorded beside results, since another processor may round differently."""

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("tensorflow", "keras", "numpy", "h5py", "mlflow", "dvc", "scikit-learn", "scipy", "ray")
_ARITHMETIC = ("sse4", "avx", "fma", "amx", "bf16", "asimd", "sve")


def describe(device: str | None = None) -> dict[str, str]:
    """Python, operating system, processor with its arithmetic flags, cores, package versions; all as text.

    Args:
        device: what computes, as TensorFlow calls it; `CPU` is not told apart. None: any GPU that is there.
    """
    facts = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor(),
        "cores": str(os.cpu_count()),
    }
    if gpu := _gpus() if device is None else device.removesuffix("CPU"):
        facts["gpu"] = gpu
    for package in PACKAGES:
        try:
            facts[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return facts


def _gpus() -> str:
    """The models that NVIDIA's driver lists; whether TensorFlow uses them, only TensorFlow knows."""
    files = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    models = {re.search(r"Model:\s*(.*)", file.read_text(encoding="utf-8")) for file in files}
    return ", ".join(sorted(model[1] for model in models if model))


def processor() -> str:
    """Model name and the flags that decide which arithmetic TensorFlow chooses, in one line."""
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
