"""How TensorFlow and Keras are loaded and set up. Importing this module does neither."""

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core import isolation, machine

_UNUSED = ("matplotlib", "pandas", "PIL", "scipy", "sklearn")
_M_ARENA_MAX = -8  # of malloc.h


@contextmanager
def _without_companions() -> Iterator[None]:
    """Keep Keras from importing packages that only its plotting, image and scikit-learn helpers use.

    Keras tries each of them and does without what is missing. That saves a third of the import's time and
    180 MB (`make bench`, table "process"). Once this block is left, they can be imported as ever.
    """
    absent = [name for name in _UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: import says "not found"
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what TensorFlow's C++ part writes to stderr while it loads (that no GPU was found, say).

    TF_CPP_MIN_LOG_LEVEL comes too late for these lines. If the import fails, they are shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def configure(threads: int) -> None:
    """Load TensorFlow and Keras so that results repeat bit for bit, on a GPU too; before anything else does.

    Args:
        threads: how many compute; up to 8 of them give the same bits (`arithmetic`).
    """
    isolation.isolate()
    with contextlib.suppress(AttributeError):  # another C library than glibc
        # One heap for all threads; one for each of TensorFlow's costs 40 MB, and training is no faster.
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    # The same library multiplies everywhere: left to itself, TensorFlow takes oneDNN where it finds AVX-512.
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    with _quiet(), _without_companions():
        import keras  # noqa: F401
        import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()
    # Which operations are fused depends on the processor, too; sums keep the order in which they are written.
    tf.config.optimizer.set_experimental_options({"remapping": False, "arithmetic_optimization": False})
    # A GPU would multiply float32 as TensorFloat-32, with a mantissa of 10 bits; precision says float32.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    with _quiet():  # the first look for a GPU reports an error where there is none
        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, enable=True)
        tf.constant(0)


def describe_device() -> str:
    """Name what will compute: the first GPU's name, or `CPU`."""
    import tensorflow as tf

    for device in tf.config.list_physical_devices("GPU"):
        return str(tf.config.experimental.get_device_details(device).get("device_name", "GPU"))
    return "CPU"


def has_bfloat16() -> bool:
    """Say whether products in bfloat16 are done by hardware here (a GPU, or AVX-512 BF16 or AMX)."""
    if describe_device() != "CPU":
        return True
    return any(flag in machine.processor() for flag in ("avx512_bf16", "amx_bf16"))
