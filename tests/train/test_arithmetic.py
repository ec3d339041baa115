"""Arithmetic by its definition, against a plain reference and against other processors' instruction sets."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.core import machine
from pipeline.core.network_files import NetworkFile
from pipeline.params import Params
from pipeline.train import arithmetic, optimizers
from tests.conftest import ROOT
from tests.train.samples import CNN, MLP, network, sequential, study, trainer

DRAW = np.random.default_rng(0)
SHAPES = [
    *((1024, 714, 1000), (904, 1000, 10), (10, 900, 333), (37, 300, 1000), (1, 100, 3), (5, 3, 7)),
    *((40, 2300, 30), (600, 2100, 700), (20, 5000, 24)),  # 9 blocks, and 20: more than AddN adds in order
]
TRAINED = """
import hashlib, os, sys
import numpy as np
from pipeline.train import backend
def configure(_, configure=backend.configure):
    configure(int(sys.argv[1]))  # which clears the variable that oneDNN reads before its first product
    os.environ["ONEDNN_MAX_CPU_ISA"] = sys.argv[2]
backend.configure = configure
from tests.train.samples import *
from pipeline.train import arithmetic
for file, settings in (
    (MLP, study({"hidden_units": 24})), (MANY, study(optimizer={"name": "nadam", "global_clipnorm": 0.1}))
):
    usual = trainer(file, settings)
    rows = run(usual)
    weights = hashlib.sha256(b"".join(weights.tobytes() for weights in usual.network())).hexdigest()
    print(repr(rows), weights, usual.deviation())
if len(sys.argv) > 3:
    print(arithmetic.deviation(1024, [(714, 1000), (1000, 10)]), arithmetic.deviation(40, [(5000, 24)]))
    import tensorflow as tf
    plain = tf.matmul(*np.random.default_rng(0).normal(size=(2, 1000, 1000)).astype(np.float32))
    print(hashlib.sha256(plain.numpy()).hexdigest())
"""


def draw(*shape: int) -> np.ndarray:
    return DRAW.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_output_is_chains_of_fused_multiply_adds(shape: tuple[int, int, int]) -> None:
    rows, terms, columns = shape
    left, right = draw(rows, terms), draw(terms, columns)
    with tf.GradientTape() as tape:
        one, other = tf.constant(left), tf.constant(right)
        tape.watch((one, other))
        result = arithmetic.product(one, other)
        upstream = draw(rows, columns)
        weighted = tf.reduce_sum(result * upstream)
    gradients = tape.gradient(weighted, (one, other))
    for first, second, computed in (
        (left, right, result),
        (upstream, right.T, gradients[0]),
        (left.T, upstream, gradients[1]),
    ):
        some = [np.r_[0, size - 1, size - 1, 0, DRAW.integers(size, size=30)] for size in computed.shape]
        some[1][1] = 0
        expected = arithmetic.reference(first[some[0]], second.T[some[1]])
        np.testing.assert_array_equal(computed.numpy()[some[0], some[1]], expected)


def test_the_reference_rounds_once() -> None:
    """2**-24 is a tie, which the term that a second rounding would lose breaks."""
    one = np.array([[1, 2**-12, 2**-30]], np.float32)
    other = np.array([[1, 2**-12, 2**-30]], np.float32)
    assert arithmetic.reference(one[:, :2], other[:, :2])[0] == 1
    tie = arithmetic._multiply_add(np.float32([1 + 2**-12]), np.float32([2**-12 + 2**-24]), np.float32([1]))
    exact = 1 + (1 + 2**-12) * (2**-12 + 2**-24)
    assert tie[0] == np.float32(exact)


def test_softmax_and_loss_are_float64_rounded_once() -> None:
    logits, labels = 5 * draw(50, 10), np.eye(10, dtype=np.float32)[DRAW.integers(10, size=50)]
    wide = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    shares = np.exp(wide) / np.exp(wide).sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(arithmetic.softmax(tf.constant(logits)), shares.astype(np.float32))
    with tf.GradientTape() as tape:
        inputs = tf.constant(logits)
        tape.watch(inputs)
        losses = arithmetic.cross_entropy(tf.constant(labels), inputs)
    expected = -np.log((shares * labels).sum(axis=1))
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    np.testing.assert_array_equal(tape.gradient(losses, inputs), (shares - labels).astype(np.float32))


def test_sums_and_norms_are_of_all_elements() -> None:
    array = draw(300, 40)
    assert arithmetic.total(array).numpy() == np.float32(array.sum(dtype=np.float64))
    assert arithmetic.norm([array, array[0]]).numpy() == pytest.approx(
        np.sqrt(np.square(array).sum() + np.square(array[0]).sum()), rel=1e-6
    )


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_steps_are_the_formula_in_float32(name: str) -> None:
    start, gradients, one = draw(333), [draw(333), draw(333)], np.float32(1)
    settings: Params = study(optimizer={"name": name})
    optimizer, variable = optimizers.make(settings.optimizer), keras.Variable(start)
    optimizer.build([variable])
    optimizer.learning_rate.assign(0.01)
    weights, mean, square = start.copy(), np.zeros_like(start), np.zeros_like(start)
    rate, beta, gamma, epsilon = map(np.float32, (0.01, 0.9, 0.999, 1e-7))
    for step, gradient in enumerate(gradients, start=1):
        optimizer.apply([tf.constant(gradient)], [variable])
        if name == "sgd":
            weights -= gradient * rate
        else:
            scale = rate * np.sqrt(one - np.float32(0.999**step)) / (one - np.float32(0.9**step))
            mean += (gradient - mean) * (one - beta)
            square += (gradient * gradient - square) * (one - gamma)
            weights -= (mean * scale) / (np.sqrt(square) + epsilon)
    np.testing.assert_array_equal(variable.numpy(), weights)


def trained(command: Sequence[str], threads: int, instructions: str = "ALL", *more: str) -> list[str]:
    done = subprocess.run(
        [*command, sys.executable, "-W", "ignore", "-c", TRAINED, str(threads), instructions, *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def here() -> list[str]:
    return trained([], 2, "ALL", "products")


@pytest.mark.parametrize(
    ("instructions", "threads"),
    [
        ("AVX2", 2),
        pytest.param("ALL", 8, marks=pytest.mark.hard),
        pytest.param("AVX2", 1, marks=pytest.mark.hard),
        pytest.param("AVX2", 4, marks=pytest.mark.hard),
        pytest.param("AVX512_CORE", 2, marks=pytest.mark.hard),
    ],
)
def test_instruction_sets_and_threads_change_no_bit(here: list[str], instructions: str, threads: int) -> None:
    *results, deviation, plain = trained([], threads, instructions, "products")
    assert results == here[:-2]
    if (instructions, threads) == ("AVX2", 2) and "avx512f" in machine.processor():
        assert plain != here[-1]  # which proves that the limit holds
    assert all(line.endswith(" None") for line in results)
    assert deviation == "None None"


@pytest.mark.hard
@pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="no qemu-user to emulate a processor with")
def test_an_emulated_processor_trains_the_same(here: list[str]) -> None:
    assert trained(["qemu-x86_64", "-cpu", "Haswell"], 2) == here[:-2]


def test_a_machine_that_deviates_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(left: Any, right: Any) -> Any:
        return tf.cast(tf.matmul(tf.cast(left, tf.float64), tf.cast(right, tf.float64)), tf.float32)

    monkeypatch.setattr(arithmetic, "product", other)
    assert arithmetic.deviation(64, [(300, 10)]) == "64 x 300 by 300 x 10"


ATTENTION = network("""
    x = keras.Input(input_shape)
    y = layers.Reshape((6, 6))(x)
    y = layers.Flatten()(layers.MultiHeadAttention(2, 4)(y, y))
    return keras.Model(x, layers.Dense(classes, activation="softmax")(y))
""")


@pytest.mark.parametrize(
    ("file", "settings", "said"),
    [
        (CNN, study(), "Conv2D, Conv2DBackpropFilter, Conv2DBackpropInput"),
        (ATTENTION, study(), "BatchMatMulV2, Einsum"),
        (sequential("layers.BatchNormalization()", "layers.Flatten()"), study(), "Mean, Sum"),  # one channel
        (MLP, study({"hidden_units": 9}, optimizer={"name": "muon"}), "MatMul, Sum"),
        (MLP, study({"hidden_units": 9}, train={"precision": "bfloat16"}), "BiasAdd, BiasAddGrad, "),
    ],
    ids=["convolutions", "attention", "all elements", "optimizer", "bfloat16"],
)
def test_what_is_not_defined_is_named(file: NetworkFile, settings: Params, said: str) -> None:
    named = trainer(file, settings).deviation()
    assert named
    assert named.startswith(f"the network's {said}")
