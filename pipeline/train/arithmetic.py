"""Arithmetic with a definition: the same float32 bits on every x86-64 processor with AVX2, by any threads.

A library cuts a matrix product as suits the processor's vectors, caches and threads, and each cut rounds
elsewhere. Here an output of a product is, exactly, a chain of fused multiply-adds in the order of the summed
index within blocks of at most 256 terms, the blocks added in order: oneDNN's kernels for AVX2 and AVX-512 do
just that if the graph has cut the blocks and no edge is left (docs/portable-bits.md: what was tried). Other
functions that are no exact IEEE operation, and sums of all elements, are computed in float64 and rounded.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

BLOCK = 256
"""Terms of a chain at most: AVX2's kernels break longer ones at 192, those of AVX-512 at 384."""
_ALIGNED = 16
"""A block's rows are a multiple of this: such a slice is aligned, and TensorFlow does not copy it."""
_THIN = 0.0038
"""Of 1/rows + 1/columns: from here on AVX2's kernels sum in another order at the edges of their tiles."""
_ROWS, _COLUMNS = 24, 16
"""Whole tiles of theirs, which are 6 x 16; up to 16 rows, AVX-512 has a kernel of another order."""
_PARTS = 4
"""Into how many parts threads cut more rows than twice these; each part has to be whole tiles."""
_SHORTEST = 17
"""Terms of a chain at least: those kernels also take what is shorter than twice the threads."""
THREADS = 8
"""At most, hence."""

CHAIN = "chain"
"""The name of products that are by the definition, in graphs."""

_matmul, _reduce_sum, _pow = tf.matmul, tf.reduce_sum, tf.pow
_bias_add, _tensordot = tf.nn.bias_add, tf.tensordot
_softmax, _cross_entropy = tf.nn.softmax, tf.nn.softmax_cross_entropy_with_logits


@contextlib.contextmanager
def defined() -> Iterator[None]:
    """Let TensorFlow's functions, by whomever they are called, compute by the definition what it covers.

    Keras' layers and losses call them by these names (tried with Keras 3.15). A graph traced meanwhile keeps
    what it was traced with. Does nothing where a GPU computes.
    """
    if tf.config.list_physical_devices("GPU"):
        yield
        return
    replaced: dict[tuple[Any, str], Any] = {
        (tf, "matmul"): product,
        (tf, "tensordot"): tensordot,
        (tf, "reduce_sum"): total,
        (tf.nn, "bias_add"): add_bias,
        (tf.nn, "batch_normalization"): normalize,
        (tf.nn, "softmax"): softmax,
        (tf.nn, "softmax_cross_entropy_with_logits"): cross_entropy,
        **{(tf.nn, name): _rounded(getattr(tf.nn, name)) for name in _FUNCTIONS},
        **{(tf.math, name): _rounded(getattr(tf.math, name)) for name in _MATHS},
        (tf, "pow"): power,
        (tf, "exp"): _rounded(tf.exp),
        (tf, "sigmoid"): _rounded(tf.sigmoid),
    }
    originals = {(module, name): getattr(module, name) for module, name in replaced}
    try:
        for (module, name), function in replaced.items():
            setattr(module, name, function)
        yield
    finally:
        for (module, name), function in originals.items():
            setattr(module, name, function)


_FUNCTIONS = "elu", "gelu", "selu", "sigmoid", "silu", "softplus", "tanh"
_MATHS = "erf", "exp", "expm1", "log", "log1p", "rsqrt", "sigmoid", "softplus", "tanh"


def _rounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute in float64 and round once, which hides whose approximation it was."""

    def call(x: Any, *arguments: Any, **options: Any) -> Any:
        x = tf.convert_to_tensor(x)
        if x.dtype != tf.float32:
            return function(x, *arguments, **options)
        return tf.cast(function(tf.cast(x, tf.float64), *arguments, **options), tf.float32)

    return call


def product(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, **options: Any) -> Any:
    """Multiply as `tf.matmul`; by the definition if both are float32 matrices of known shape."""
    a, b = tf.convert_to_tensor(a), tf.convert_to_tensor(b)
    if not (_is_covered(a, 2) and _is_covered(b, 2)):
        return _matmul(a, b, transpose_a, transpose_b, **options)
    return _product(tf.transpose(a) if transpose_a else a, tf.transpose(b) if transpose_b else b)


def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Any:
    """Multiply as `tf.tensordot`; by the definition what a dense layer makes of more than two axes."""
    a, b = tf.convert_to_tensor(a), tf.convert_to_tensor(b)
    if axes != [[-1], [0]] or not (_is_covered(a) and _is_covered(b, 2)):
        return _tensordot(a, b, axes, name)
    return tf.reshape(product(tf.reshape(a, [-1, a.shape[-1]]), b), [*a.shape[:-1], b.shape[1]])


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _product(left: Any, right: Any) -> Any:
    def gradient(upstream: Any) -> tuple[Any, Any]:
        return _blocks(upstream, right, False, True), _blocks(left, upstream, True, False)

    return _blocks(left, right, False, False), gradient


def _blocks(left: Any, right: Any, turn_left: bool, turn_right: bool) -> Any:
    """Multiply by the definition; a matrix that is turned stands for its transpose."""
    rows, terms = left.shape[::-1] if turn_left else left.shape
    columns = right.shape[0 if turn_right else 1]
    if 1 / rows + 1 / columns < _THIN:
        more = max(0, _SHORTEST - terms)
        left, right = _padded(left, 0 if turn_left else 1, more), _padded(right, 1 if turn_right else 0, more)
        return _sum(left, right, turn_left, turn_right)
    if rows > columns:
        return tf.transpose(_blocks(right, left, not turn_right, not turn_left))
    left = tf.transpose(left) if turn_left else left
    left = _padded(left, 0, -rows % (_ROWS if rows <= 2 * _ROWS else _PARTS * _ROWS))
    # What is right of the last whole tile comes out in another order there: it is computed apart, with zeros.
    whole = columns - columns % _COLUMNS if columns > 8 * _COLUMNS else 0
    rest = right[whole:] if turn_right else right[:, whole:]
    rest = _padded(rest, 0 if turn_right else 1, -columns % _COLUMNS)
    outputs = [_sum(left, rest, False, turn_right)[:rows, : columns - whole]] if whole < columns else []
    outputs = [_sum(left, right, False, turn_right)[:rows, :whole], *outputs] if whole else outputs
    return tf.concat(outputs, axis=1) if len(outputs) > 1 else outputs[0]


def _sum(left: Any, right: Any, turn_left: bool, turn_right: bool) -> Any:
    """Cut the summed index into blocks of one size, multiply each and add them in order."""
    terms = left.shape[0 if turn_left else 1]
    size = _up(math.ceil(terms / math.ceil(terms / BLOCK)), _ALIGNED)
    chains = []
    for start in range(0, terms, size):
        part = slice(start, start + size)
        left_block = left[part] if turn_left else left[:, part]
        right_block = right[:, part] if turn_right else right[part]
        chains.append(_matmul(left_block, right_block, turn_left, turn_right, name=CHAIN))
    # AddN adds up to eight from left to right, in one pass over memory.
    while len(chains) > 1:
        chains = [tf.raw_ops.AddN(inputs=chains[:8]), *chains[8:]]
    return chains[0]


def _padded(matrix: Any, axis: int, count: int) -> Any:
    """Append zeros, which change no chain."""
    return tf.pad(matrix, [[0, count], [0, 0]] if axis == 0 else [[0, 0], [0, count]]) if count else matrix


def _up(number: int, multiple: int) -> int:
    return math.ceil(number / multiple) * multiple


def _is_covered(tensor: Any, rank: int | None = None) -> bool:
    known = tensor.shape.is_fully_defined() and 0 not in tensor.shape
    return bool(tensor.dtype == tf.float32 and known and rank in (None, tensor.shape.rank))


def add_bias(value: Any, bias: Any, data_format: str | None = None, name: str | None = None) -> Any:
    """Add as `tf.nn.bias_add`, whose own gradient sums few columns in as many parts as there are threads."""
    value, bias = tf.convert_to_tensor(value), tf.convert_to_tensor(bias)
    if data_format not in (None, "NHWC") or not (_is_covered(value) and _is_covered(bias)):
        return _bias_add(value, bias, data_format, name)
    return _add_bias(value, bias)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _add_bias(value: Any, bias: Any) -> Any:
    def gradient(upstream: Any) -> tuple[Any, Any]:
        return upstream, _reduce_sum(upstream, range(len(upstream.shape) - 1))

    return value + bias, gradient


def softmax(logits: Any, axis: int = -1, name: str | None = None) -> Any:
    """Compute as `tf.nn.softmax`, in float64, rounded."""
    return (
        _rounded(_written_out)(logits, axis) if logits.dtype == tf.float32 else _softmax(logits, axis, name)
    )


def _written_out(logits: Any, axis: int) -> Any:
    """oneDNN's softmax has other orders of summation for other vectors."""
    powers = tf.exp(logits - tf.stop_gradient(tf.reduce_max(logits, axis, keepdims=True)))
    return powers / _reduce_sum(powers, axis, keepdims=True)


def cross_entropy(labels: Any, logits: Any, axis: int = -1, name: str | None = None) -> Any:
    """Compute as `tf.nn.softmax_cross_entropy_with_logits`, in float64, rounded."""
    if logits.dtype != tf.float32:
        return _cross_entropy(labels, logits, axis, name)
    return _loss(labels, logits, axis)


def _loss(labels: Any, logits: Any, axis: int) -> Any:
    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def loss(logits: Any) -> Any:
        wide = tf.cast(logits, tf.float64)
        wide -= tf.reduce_max(wide, axis, keepdims=True)
        powers = tf.exp(wide)
        sums = _reduce_sum(powers, axis, keepdims=True)
        targets = tf.cast(labels, tf.float64)
        losses = _reduce_sum(targets * (tf.math.log(sums) - wide), axis)

        def gradient(upstream: Any) -> Any:
            return tf.expand_dims(upstream, axis) * tf.cast(powers / sums - targets, tf.float32)

        return tf.cast(losses, tf.float32), gradient

    return loss(logits)


def total(x: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """Sum as `tf.reduce_sum`; of all elements, which threads would share, in float64, column by column."""
    x = tf.convert_to_tensor(x)
    if axis is not None or x.dtype != tf.float32 or not x.shape.rank:
        return _reduce_sum(x, axis, keepdims, name)
    columns = _reduce_sum(tf.reshape(tf.cast(x, tf.float64), [-1, tf.shape(x)[-1]]), axis=0)
    return tf.reshape(tf.cast(_reduce_sum(columns), tf.float32), [1] * x.shape.rank if keepdims else [])


def power(x: Any, y: Any, name: str | None = None) -> Any:
    """Raise as `tf.pow`, in float64, rounded."""
    x, y = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
    if x.dtype != tf.float32:
        return _pow(x, y, name)
    return tf.cast(_pow(tf.cast(x, tf.float64), tf.cast(y, tf.float64), name), tf.float32)


def normalize(x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: float) -> Any:
    """Compute as `tf.nn.batch_normalization`, whose float32 inverse root AMD and Intel approximate apart."""
    inverse = _rounded(tf.math.rsqrt)(variance + variance_epsilon)
    inverse = inverse if scale is None else inverse * scale
    return x * inverse + ((0.0 if offset is None else offset) - mean * inverse)


def norm(parts: Sequence[Any]) -> Any:
    """Compute the Euclidean norm of all elements together."""
    return tf.sqrt(tf.add_n([total(tf.square(part)) for part in parts]))


def deviation(batch: int, kernels: Sequence[tuple[int, int]]) -> str | None:
    """Try the products of a training step here, some outputs of each; say which is not by the definition.

    Args:
        batch: examples of a step.
        kernels: shapes of the dense layers' kernels.

    Returns:
        None where all are: then this machine computes what every other one does.
    """
    draw = np.random.default_rng(0)
    for inputs, outputs in dict.fromkeys(kernels):
        for rows, terms, columns in (
            (batch, inputs, outputs),
            (inputs, batch, outputs),
            (batch, outputs, inputs),
        ):
            left = draw.normal(size=(rows, terms)).astype(np.float32)
            right = draw.normal(size=(terms, columns)).astype(np.float32)
            some = draw.integers(rows, size=12), draw.integers(columns, size=12)
            some[0][:2], some[1][:2] = (0, rows - 1), (0, columns - 1)
            factors = tf.constant(left), tf.constant(right)
            result = tf.function(product, autograph=False).get_concrete_function(*factors)(*factors).numpy()
            if not np.array_equal(result[some], reference(left[some[0]], right[:, some[1]].T)):
                return f"{rows} x {terms} by {terms} x {columns}"
    return None


def reference(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the definition, row by row: each the sum of the products of two vectors of shape (n, terms)."""
    terms = left.shape[1]
    size = _up(math.ceil(terms / math.ceil(terms / BLOCK)), _ALIGNED)
    chains = []
    for start in range(0, terms, size):
        chain = np.zeros(len(left), np.float32)
        for index in range(start, min(start + size, terms)):
            chain = _multiply_add(left[:, index], right[:, index], chain)
        chains.append(chain)
    return functools.reduce(np.add, chains)


def _multiply_add(
    left: NDArray[np.float32], right: NDArray[np.float32], addend: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Compute left * right + addend with a single rounding: the product of two float32 is exact in float64.

    So that the sum is not rounded twice, the rounding to float64 is to odd (Boldo and Melquiond 2008).
    """
    exact, addend = left.astype(np.float64) * right, addend.astype(np.float64)
    total = exact + addend
    back = total - exact
    error = (exact - (total - back)) + (addend - back)
    bits = total.view(np.int64)
    towards = np.where((error > 0) == (total > 0), 1, -1)
    odd = np.where((error != 0) & (bits % 2 == 0), bits + towards, bits)
    return odd.view(np.float64).astype(np.float32)
