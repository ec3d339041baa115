"""Damage, a bit at a time."""

from collections.abc import Iterator

import numpy as np

FLIPS = 400


def flipped(content: bytes, end: int | None = None) -> Iterator[bytes]:
    """Flip one bit of the content, at places spread over all of it (or over its first `end` bytes)."""
    bits = 8 * len(content[:end])
    for bit in np.unique(np.linspace(0, bits - 1, min(FLIPS, bits), dtype=int)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)
