"""params.yaml as frozen, validated models; this package is the only reader of that file.

One module per section. They are apart so that DVC can tell them apart: a stage depends on the section
that can change its outputs and on no other.
"""

from pipeline.params.reading import Params, load

__all__ = ["Params", "load"]
