"""Training while the rate rises, for the range test: the study's network, batches and optimizer."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.train import loop

_HOPELESS = 10.0
"""A batch whose loss is this many times the first one's ends the seed: what follows is noise."""


def losses(
    trainer: loop.Trainer, rates: NDArray[np.float64], seeds: Sequence[int], size: int, batch_size: int
) -> NDArray[np.float64]:
    """Compute each batch's loss before its step, with the weights and shuffles of the study's seeds.

    Args:
        rates: shape (steps,), rising.
        size: number of training examples.

    Returns:
        Shape (seeds, steps), in the order of `seeds`; NaN from the step with a loss not finite, or hopeless.
    """
    table = np.full((len(seeds), len(rates)), np.nan)
    for row, seed in zip(table, seeds, strict=True):
        trainer.reset(seed)
        for index, batch in enumerate(_batches(seed, size, batch_size, len(rates))):
            loss = float(trainer.step(batch, np.float32(rates[index])))
            if not loss <= _HOPELESS * (row[0] if index else math.inf):  # NaN is not, either
                break
            row[index] = loss
    return table


def _batches(seed: int, size: int, batch_size: int, steps: int) -> NDArray[np.int32]:
    """List the positions that the seed's runs would see, all batches full; shape (steps, batch size)."""
    epochs = -(-steps * batch_size // size)
    orders = [loop.order(seed, epoch, size) for epoch in range(1, epochs + 1)]
    return np.concatenate(orders)[: steps * batch_size].reshape(steps, batch_size)
