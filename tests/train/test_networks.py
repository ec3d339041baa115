"""Networks from files: what is no network for the task is refused in a line that says what to do."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.core import network_files
from pipeline.core.errors import ParamsError
from pipeline.core.network_files import NetworkFile
from tests.train.samples import MLP, TRAIN, network, study, task_of, trainer

FILE = "own/network.py"
NO_FILE = (
    f"network.file, {FILE}: expected a Python file with `build(input_shape, classes, seed, **values)`, got: "
)
HOW = ". docs/own-task.md shows how to write one."
MODEL = f"{FILE}: expected build to return a Keras model"
LINE = (
    f"{FILE}: line 5, expected build to make a network for inputs of shape (6, 6, 1) and these values, got "
)
TAKES = (
    "network.values: expected what pipeline/networks/mlp.py takes, build(input_shape: tuple[int, ...], "
    "classes: int, seed: int, *, hidden_units: int), got: "
)
CORRECT = ". Correct network.values in params.yaml."
SOFTMAX = " whose outputs are probabilities, from 0 to 1 and together 1, got ["
INPUTS = "keras.Input(input_shape)"


def model(*layers: str) -> NetworkFile:
    return network(f"return keras.Sequential([{', '.join(layers)}])")


RESHAPED = """
class Net(keras.Model):
    def call(self, inputs, training=False):
        return keras.ops.softmax(keras.ops.reshape(inputs, (-1, 7)))
return Net()
"""
OWN_LAYER = """
class Half(layers.Layer):
    def call(self, inputs):
        return inputs / 2
return keras.Sequential([keras.Input(input_shape), layers.Flatten(), Half(), layers.Dense(3, "softmax")])
"""
OWN_FUNCTION = """
@keras.saving.register_keras_serializable()
def half(inputs):
    return inputs / 2
return keras.Sequential([keras.Input(input_shape), layers.Flatten(), layers.Dense(3, half), layers.Softmax()])
"""
LAST = "layers.Dense(classes, activation='softmax')"
PLAIN = ". Build it of Keras' own layers, without Lambda and without classes of your own."
FLOAT32 = (
    " For products in bfloat16, let `train.precision` of params.yaml say so, or a single layer's "
    '`dtype="mixed_bfloat16"`.'
)
REFUSED: dict[str, tuple[NetworkFile, dict[str, Any], str, str]] = {
    # begins with, ends with
    "a number": (network("return 5"), {}, f"{MODEL}, got int.", " End `build` with `return model`."),
    "no return": (network("model = 5"), {}, f"{MODEL}, got NoneType.", " End `build` with `return model`."),
    "another number of outputs": (
        model(INPUTS, "layers.Flatten()", "layers.Dense(7, activation='softmax')"),
        {},
        f"{MODEL} with an output for each of the 3 classes, shape (n, 3), got (n, 7).",
        " Its last layer gets `classes` units.",
    ),
    "a picture of outputs": (
        model(INPUTS, "layers.Dense(classes, activation='softmax')"),
        {},
        f"{MODEL} with an output for each of the 3 classes, shape (n, 3), got (n, 6, 6, 3).",
        " Its last layer gets `classes` units.",
    ),
    "logits": (
        model(INPUTS, "layers.Flatten()", "layers.Dense(classes)"),
        {},
        f"{MODEL}{SOFTMAX}",
        ']. End it with a layer of `activation="softmax"`.',
    ),
    "a sigmoid": (
        model(INPUTS, "layers.Flatten()", "layers.Dense(classes, activation='sigmoid')"),
        {},
        f"{MODEL}{SOFTMAX}",
        ']. End it with a layer of `activation="softmax"`.',
    ),
    "nothing to train": (
        model(INPUTS, "layers.Flatten()", "layers.Softmax()"),
        {},
        f"{MODEL} with weights to train, got none.",
        "",
    ),
    "another input": (
        model("keras.Input((7,))", "layers.Dense(classes, activation='softmax')"),
        {},
        f"{MODEL} that takes inputs of shape (n, 6, 6, 1), got ValueError: Input 0 ",
        "expected shape=(None, 7), found shape=(None, 6, 6)",
    ),
    "two inputs": (
        network(
            "a, b = keras.Input(input_shape), keras.Input(input_shape)\n"
            "return keras.Model([a, b], layers.Dense(classes, activation='softmax')(layers.Flatten()(a + b)))"
        ),
        {},
        f"{MODEL} that takes inputs of shape (n, 6, 6, 1), got ValueError: ",
        "",
    ),
    "a call that fails": (
        network(RESHAPED),
        {},
        f"{MODEL} that takes inputs of shape (n, 6, 6, 1), got ValueError: Dimension size must be evenly ",
        "",
    ),
    "a layer that Keras refuses": (
        model(INPUTS, "layers.Dense(-1)"),
        {},
        f"{LINE}ValueError: Received an invalid value for `units`, expected a positive integer. ",
        "Received: units=-1",
    ),
    "layers that do not fit": (
        model(INPUTS, "layers.Reshape((5,))"),
        {},
        f"{LINE}ValueError: The total size of the tensor must be unchanged. ",
        "target_shape=(5,)",
    ),
    "a layer of its own": (
        network(OWN_LAYER),
        {},
        f"{MODEL} that plain Keras can load again, got TypeError: ",
        PLAIN,
    ),
    "a registered layer of its own": (
        network("@keras.saving.register_keras_serializable()" + OWN_LAYER),
        {},
        f"{MODEL} that plain Keras can load again, got TypeError: ",
        PLAIN,
    ),
    "a registered function of its own": (
        network(OWN_FUNCTION),
        {},
        f"{MODEL} that plain Keras can load again, got TypeError: ",
        PLAIN,
    ),
    "a name that graphs refuse": (
        model(INPUTS, "layers.Flatten()", "layers.Dense(8, name='hidden layer')", LAST),
        {},
        f"{MODEL} that takes inputs of shape (n, 6, 6, 1), got ValueError: 'hidden layer' is not a valid ",
        "",
    ),
    "a layer in bfloat16": (
        model(INPUTS, "layers.Flatten()", "layers.Dense(8, dtype='bfloat16', name='hidden')", LAST),
        {},
        f"{MODEL} with weights in float32, got bfloat16 in sequential/hidden/kernel.",
        FLOAT32,
    ),
    "a network in bfloat16": (
        model(INPUTS, "layers.Flatten()", LAST.replace(")", ", dtype='bfloat16', name='output')")),
        {},
        f"{MODEL} with weights in float32, got bfloat16 in sequential/output/kernel.",
        FLOAT32,
    ),
    "a layer in float64": (
        model(INPUTS, "layers.Flatten()", "layers.Dense(8, dtype='float64', name='hidden')", LAST),
        {},
        f"{MODEL} with weights in float32, got float64 in sequential/hidden/kernel.",
        FLOAT32,
    ),
    "a lambda": (
        model(INPUTS, "layers.Flatten()", "layers.Lambda(lambda x: 2 * x)", LAST),
        {},
        f"{MODEL} that plain Keras can load again, got ValueError: Requested the deserialization ",
        PLAIN,
    ),
    "an error": (network("raise KeyError('x')"), {}, f"{LINE}KeyError: ", "'x'"),
    "an error of many lines": (
        network("raise ValueError('a\\n\\n' + 1000 * 'b' + '\\nc')"),
        {},
        f"{LINE}ValueError: a bbb",
        "bbb c",
    ),
    "a value too many": (
        MLP,
        {"hidden_units": 3, "depth": 2},
        f"{TAKES}an unexpected keyword argument 'depth'",
        CORRECT,
    ),
    "a value missing": (MLP, {}, f"{TAKES}missing a required argument: 'hidden_units'", CORRECT),
    "a value of another kind": (
        MLP,
        {"hidden_units": "many"},
        "pipeline/networks/mlp.py: line ",
        "got ValueError: Received an invalid value for `units`, expected a positive integer. "
        "Received: units=many",
    ),
    "a value without end": (
        MLP,
        {"hidden_units": 10**400},
        "pipeline/networks/mlp.py: line ",
        "got OverflowError: int too large to convert to float",
    ),
    "no build": (NetworkFile(FILE, "x = 1\n"), {}, f"{NO_FILE}it defines no such function", HOW),
    "build is a number": (NetworkFile(FILE, "build = 3\n"), {}, f"{NO_FILE}it defines no such function", HOW),
    "a package that is not there": (
        NetworkFile(FILE, "import nowhere\n"),
        {},
        f"{NO_FILE}it fails with ModuleNotFoundError: No module named 'nowhere'",
        HOW,
    ),
    "an end of Python": (
        NetworkFile(FILE, "raise SystemExit(0)\n"),
        {},
        f"{NO_FILE}it fails with SystemExit: 0",
        HOW,
    ),
}


@pytest.mark.parametrize(("file", "values", "begin", "end"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_network_for_the_task_is_refused_in_a_line(
    file: NetworkFile, values: dict[str, Any], begin: str, end: str
) -> None:
    with pytest.raises(ParamsError) as caught:
        trainer(file, study(values))
    message = str(caught.value)
    assert message.startswith(begin)
    assert message.endswith(end)
    assert "\n" not in message
    assert len(message) < 500


FILES = {
    "missing": (None, "No such file or directory"),
    "a syntax error": (b"def build(\n", "'(' was never closed (line 1)"),
    "another syntax error": (b"x = 1\ndef build:\n", "expected '(' (line 2)"),
    "bytes": (b"\xff\xfe", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    "zero bytes": (b"x = 1\0", "source code string cannot contain null bytes"),
}


@pytest.mark.parametrize(("content", "finding"), FILES.values(), ids=FILES)
def test_a_file_that_is_not_python_is_refused_before_it_runs(
    tmp_path: Path, content: bytes | None, finding: str
) -> None:
    (tmp_path / "own").mkdir()
    if content is not None:
        (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ParamsError) as caught:
        network_files.read(FILE, tmp_path)
    assert str(caught.value) == NO_FILE + finding + HOW


IMPORTS = {
    "in a package": ("from parts.blocks import block", "parts.blocks"),
    "a package": ("def build():\n    import keras, parts.blocks as b", "parts.blocks"),
    "a file": ("import helper", "helper"),
    "beside it": ("from .blocks import block", ".blocks"),
}


@pytest.mark.parametrize(("line", "module"), IMPORTS.values(), ids=IMPORTS)
def test_a_file_that_imports_others_of_the_repository_is_refused_since_nothing_watches_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, module: str
) -> None:
    for name in (FILE, "parts/blocks.py", "helper.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / FILE).write_text(f"import keras, os.path, nowhere\nfrom scipy import stats\n{line}\n")
    monkeypatch.syspath_prepend(tmp_path)  # as `python -m` has the folder that it runs in
    with pytest.raises(ParamsError) as caught:
        network_files.read(FILE, tmp_path)
    assert str(caught.value) == (
        f"network.file, {FILE}: expected one file, got one that imports {module} of this repository, whose "
        f"changes nothing would notice. Put what it needs of it into {FILE}."
    )


def test_a_file_is_read_without_being_run(tmp_path: Path) -> None:
    (tmp_path / "network.py").write_text("raise SystemExit\n")
    assert network_files.read("network.py", tmp_path).source == "raise SystemExit\n"


def test_a_network_that_fits_is_taken() -> None:
    assert trainer(MLP, study({"hidden_units": 3})).steps == 3
    assert task_of(TRAIN).shape == (6, 6, 1)
