"""What a run was computed on and with, to be recorded beside its results."""

import contextlib
import math
import os
import platform
import re
from importlib import metadata
from pathlib import Path

from pipeline.core.machine import processor

PACKAGES = ("tensorflow", "keras", "numpy", "h5py", "mlflow", "dvc", "scikit-learn", "scipy", "ray")


def describe(device: str | None = None) -> dict[str, str]:
    """Collect Python, operating system, processor with its arithmetic flags, cores, GPU, package versions.

    Args:
        device: what computes, as TensorFlow calls it; `CPU` is left out. None: the GPUs that NVIDIA's driver
            knows; whether TensorFlow uses them, only TensorFlow knows.
    """
    if device is None:
        files = Path("/proc/driver/nvidia/gpus").glob("*/information")
        models = (re.search(r"Model:\s*(.*)", file.read_text(encoding="utf-8")) for file in files)
        device = ", ".join(sorted(model[1] for model in models if model))
    facts = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor(),
        "cores": str(os.cpu_count()),
    }
    if gpu := device.removesuffix("CPU"):
        facts["gpu"] = gpu
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            facts[package] = metadata.version(package)
    return facts


def usable_cores() -> int:
    """Count the cores that this process may use: a container or `taskset` leaves it fewer than there are."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # where nothing is set: no such file, or "max"
        quota, period = map(int, Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split())
        usable = min(usable, math.ceil(quota / period))
    return usable
