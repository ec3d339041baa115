"""What a user's or an image's environment tells the libraries that compute and draw: nothing."""

import os
import re

_VARIABLES = re.compile(
    r"(CUBLAS|CUDNN|DNNL|KERAS|KMP|MKL|NPY|OMP|ONEDNN|OPENBLAS|TF(?!_CPP)|XLA)_.*"
    r"|NVIDIA_TF32_OVERRIDE|MATPLOTLIBRC|MPLBACKEND"
)
"""Other kernels, other threads, another backend, other flags of a compiler; TF_CPP_ sets how much is said."""


def isolate() -> None:
    """Clear what changes results or figures, before numpy, TensorFlow, Keras or Matplotlib reads it."""
    for name in filter(_VARIABLES.fullmatch, list(os.environ)):
        del os.environ[name]
    # A keras.json sets backend, float type and epsilon; under this path there can be none.
    os.environ |= {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": f"{os.devnull}/keras"}
