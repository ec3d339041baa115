"""params.yaml: which values are accepted, and what the error says of the others."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest

from pipeline.core.errors import ParamsError
from pipeline.params import load, models, reading
from tests.conftest import ROOT

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
DEFAULT = load(ROOT / "params.yaml")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "params.yaml"
    target.write_text(TEXT, encoding="utf-8")
    return target


def refused(path: Path) -> list[str]:
    """The lines of the error, without the frame around them, which is checked here."""
    with pytest.raises(ParamsError) as caught:
        load(path)
    first, *lines, last = str(caught.value).splitlines()
    assert first == f"{path}: {len(lines)} value(s) that the study cannot work with:"
    assert last == "The comments in that file say what each value means and what it may be."
    return [line.removeprefix("  ") for line in lines]


ACCEPTED = [
    ("train.learning_rates", "1e-3", (0.001,)),
    ("train.learning_rates", "1.0e-05, .5", (1e-05, 0.5)),
    ("train.seeds", "0, 4294967295", (0, 2**32 - 1)),
]


@pytest.mark.parametrize(("key", "written", "read"), ACCEPTED)
def test_lists_are_read_as_dvc_reads_them(path: Path, key: str, written: str, read: tuple) -> None:
    name = key.rpartition(".")[2]
    lines = [
        f"  {name}: [{written}]" if line.startswith(f"  {name}:") else line for line in TEXT.splitlines()
    ]
    path.write_text("\n".join(lines), encoding="utf-8")

    assert getattr(load(path).train, name) == read


*DATASETS, LAST = get_args(models.DataParams.model_fields["dataset"].annotation)
DATASET = f"{', '.join(map(repr, DATASETS))} or {LAST!r}"
OPTIMIZERS = "'sgd', 'adam', 'nadam', 'adamw', 'rmsprop', 'lion', 'muon'"
FILE = (
    "expected the path of a Python file, from the repository's root and inside it, of letters, digits, "
    "`_`, `-` and `.`"
)
BESIDES = "expected values besides input_shape, classes and seed"
UNKNOWN = "unknown key. Remove it, or check its spelling."
DISTINCT = "expected at least one value, and none twice"
FLOAT32 = "expected a number from 1e-37 to 1e+38"
DECIMAL = "expected a decimal number (1.0, not 1)"
HELD_OUT = (
    "expected 0, or 10 to 59,990 of the 60,000 training images of mnist, so that every class has images to "
    "train and to choose on"
)
# Values as ruamel.yaml hands them over; the table after this one is about how they are written.
REFUSED = [
    ("train.learning_rates.0", [0.0], f"{FLOAT32}, got 0.0"),
    ("train.learning_rates.1", [0.1, -0.1], f"{FLOAT32}, got -0.1"),
    ("train.learning_rates.0", [1e39], f"{FLOAT32}, got 1e+39"),
    ("train.learning_rates.0", [float("nan")], f"{FLOAT32}, got nan"),
    ("train.learning_rates.0", [float("inf")], f"{FLOAT32}, got inf"),
    ("train.learning_rates.0", [1], f"{DECIMAL}, got 1"),
    ("train.learning_rates.0", [10**400], f"{DECIMAL}, got 100000000000000000...0000000000000000000"),
    ("train.learning_rates", [0.1, 0.10], f"{DISTINCT}, got [0.1, 0.1]"),
    ("train.learning_rates", [], f"{DISTINCT}, got []"),
    ("train.learning_rates", 0.1, "expected a list, got 0.1"),
    ("train.learning_rates", None, "expected a list, got None"),
    ("train.learning_rates.0", ["0.1"], "expected a valid number, got '0.1'"),
    ("train.learning_rates.1", [0.1, True], "expected a valid number, got True"),
    ("train.learning_rates.0", [[0.1]], "expected a valid number, got [0.1]"),
    ("train.seeds", [], f"{DISTINCT}, got []"),
    ("train.seeds", [1, 2, 1], f"{DISTINCT}, got [1, 2, 1]"),
    ("train.seeds.0", [-1], "expected a number greater than or equal to 0, got -1"),
    ("train.seeds.0", [2**32], "expected a number less than 4294967296, got 4294967296"),
    ("train.seeds.0", [0.5], "expected a valid integer, got 0.5"),
    ("train.seeds.0", [True], "expected a valid integer, got True"),
    ("train.epochs", 0, "expected a number greater than or equal to 1, got 0"),
    ("train.epochs", 1_000_001, "expected a number less than or equal to 1000000, got 1000001"),
    ("train.epochs", 10**30, f"expected a number less than or equal to 1000000, got {10**30}"),
    ("train.epochs", 2.5, "expected a valid integer, got 2.5"),
    ("train.epochs", "20", "expected a valid integer, got '20'"),
    ("train.batch_size", 0, "expected a number greater than or equal to 1, got 0"),
    ("train.batch_size", True, "expected a valid integer, got True"),
    (
        "train.batch_size",
        55_001,
        "expected at most the 55,000 training images of mnist that data.validation_size leaves, got 55001",
    ),
    ("train.keep", "best", "expected 'best_epoch' or 'last_epoch', got 'best'"),
    ("train.keep", None, "expected 'best_epoch' or 'last_epoch', got None"),
    ("network.file", "/etc/network.py", f"{FILE}, got '/etc/network.py'"),
    ("network.file", "../network.py", f"{FILE}, got '../network.py'"),
    ("network.file", "own/../../network.py", f"{FILE}, got 'own/../../network.py'"),
    ("network.file", "my network.py", f"{FILE}, got 'my network.py'"),
    ("network.file", "own/network.txt", f"{FILE}, got 'own/network.txt'"),
    ("network.file", "own.network:build", f"{FILE}, got 'own.network:build'"),
    ("network.file", "$(id).py", f"{FILE}, got '$(id).py'"),
    ("network.file", "network.py\n", f"{FILE}, got 'network.py\\n'"),
    ("network.file", "", f"{FILE}, got ''"),
    ("network.file", None, "expected a text, got None"),
    ("network.values", [24], "expected keys and their values, got [24]"),
    ("network.values", None, "expected keys and their values, got None"),
    ("network.values", {"seed": 3, "a": 1}, f"{BESIDES}, got seed"),
    ("network.values", {"classes": 3}, f"{BESIDES}, got classes"),
    (
        "network.values",
        {"rate": float("nan")},
        "expected finite numbers of at most 4,300 digits, and texts, got {'rate': nan}",
    ),
    ("optimizer", "adam", "expected keys and their values, got 'adam'"),
    ("optimizer", None, "expected keys and their values, got None"),
    ("optimizer", {}, "expected a name and values, got {}"),
    ("optimizer.name", "adagrad", f"expected {OPTIMIZERS}, got 'adagrad'"),
    ("optimizer.name", "Adam", f"expected {OPTIMIZERS}, got 'Adam'"),
    ("optimizer.name", None, f"expected {OPTIMIZERS}, got 'None'"),
    ("schedule.name", "step", "expected 'constant', 'cosine' or 'linear', got 'step'"),
    ("schedule.warmup", 1.1, "expected a number less than or equal to 1, got 1.1"),
    ("schedule.warmup", -0.1, "expected a number greater than or equal to 0, got -0.1"),
    ("schedule.warmup", "5%", "expected a valid number, got '5%'"),
    ("train.threads", 0, "expected a number greater than or equal to 1, got 0"),
    ("train.threads", 257, "expected a number less than or equal to 256, got 257"),
    ("train.precision", "float64", "expected 'float32' or 'bfloat16', got 'float64'"),
    ("data.dataset", "fashion", f"expected {DATASET}, got 'fashion'"),
    ("data.dataset", ["mnist"], f"expected {DATASET}, got ['mnist']"),
    ("data.validation_size", -1, "expected a number greater than or equal to 0, got -1"),
    ("data.validation_size", 0.1, "expected a valid integer, got 0.1"),
    ("data.validation_size", 9, f"{HELD_OUT}, got 9"),
    ("data.validation_size", 59_991, f"{HELD_OUT}, got 59991"),
    ("data.validation_size", 60_000, f"{HELD_OUT}, got 60000"),
    ("range_test.steps", 19, "expected a number greater than or equal to 20, got 19"),
    ("range_test.steps", 10_001, "expected a number less than or equal to 10000, got 10001"),
    ("range_test.lowest", 0, f"{FLOAT32}, got 0"),
    ("range_test.stop", float("inf"), "expected a finite number, got inf"),
    ("range_test.smoothing", "0.9", "expected a valid number, got '0.9'"),
    ("report.confidence", True, "expected a valid number, got True"),
    (
        "report.accuracy_targets",
        [0.97, 0.97000001],
        "expected targets that differ in six digits: each is a column of comparison.csv, "
        "got [0.97, 0.97000001]",
    ),
    ("report.accuracy_targets.0", ["0.97"], "expected a valid number, got '0.97'"),
    ("report.accuracy_targets", [0.98, 0.97], "expected rising values, none twice, got [0.98, 0.97]"),
    ("report.budgets", [5, 5], "expected rising values, none twice, got [5, 5]"),
    ("report.budgets.0", [0], "expected a number greater than or equal to 1, got 0"),
    ("report.budgets.1", [5, 1_000_001], "expected a number less than or equal to 1000000, got 1000001"),
    ("data.standardise", 1, "expected a valid boolean, got 1"),
    ("data.mirrors", ["/data/mnist"], "expected keys and their values, got ['/data/mnist']"),
    ("data.mirrors.mnist", "/data/mnist", "expected a list, got '/data/mnist'"),
    ("data.mirrors.mnist.0", [1], "expected a text, got 1"),
    ("data.mirrors.kmnist.1", ["a", ""], "expected a text that is not empty, got ''"),
    ("data.mirrors.fashion_mnist.0", [None], "expected a text, got None"),
]


@pytest.mark.parametrize(("key", "value", "said"), REFUSED)
def test_a_refused_value_is_named_with_what_was_expected(
    path: Path, key: str, value: object, said: str
) -> None:
    name = key if key.startswith("data.mirrors") else ".".join(key.split(".")[:2])
    reading.override(path, {re.sub(r"\.\d+$", "", name): value})

    assert refused(path) == [f"{key}: {said}"]


# As float32 has them: neither 1, nor 0, nor infinite.
DECAY = "expected a number from 0 to 0.9999999403953552"
NOT_NEGATIVE = "expected a number from 0 to 1e+37"
ABOVE_0 = "expected a number from 1e-37 to 1e+37"
OPTIMIZER = [
    ({"name": "sgd", "momentum": 2}, f"optimizer.momentum: {DECAY}, got 2"),
    ({"name": "sgd", "momentum": "0.9"}, "optimizer.momentum: expected a valid number, got '0.9'"),
    (
        {"name": "sgd", "nesterov": True},
        "optimizer: expected a momentum above 0 with nesterov: true, got 0",
    ),
    ({"name": "sgd", "momentum": 0.9, "nesterov": 1}, "optimizer.nesterov: expected a valid boolean, got 1"),
    ({"name": "adam", "momentum": 0.9}, f"optimizer.momentum: {UNKNOWN}"),
    ({"name": "adam", "learning_rate": 0.1}, f"optimizer.learning_rate: {UNKNOWN}"),
    ({"name": "nadam", "beta_1": 1.0}, f"optimizer.beta_1: {DECAY}, got 1.0"),
    ({"name": "adam", "beta_2": 0.999999999}, f"optimizer.beta_2: {DECAY}, got 0.999999999"),
    ({"name": "adamw", "epsilon": 0.0}, f"optimizer.epsilon: {ABOVE_0}, got 0.0"),
    ({"name": "rmsprop", "epsilon": 1e-50}, f"optimizer.epsilon: {ABOVE_0}, got 1e-50"),
    ({"name": "sgd", "global_clipnorm": 1e38}, f"optimizer.global_clipnorm: {ABOVE_0}, got 1e+38"),
    ({"name": "adamw", "weight_decay": 1e300}, f"optimizer.weight_decay: {NOT_NEGATIVE}, got 1e+300"),
    ({"name": "muon", "weight_decay": float("nan")}, f"optimizer.weight_decay: {NOT_NEGATIVE}, got nan"),
    ({"name": "adamw", "weight_decay": -0.1}, f"optimizer.weight_decay: {NOT_NEGATIVE}, got -0.1"),
    ({"name": "rmsprop", "centered": "no"}, "optimizer.centered: expected a valid boolean, got 'no'"),
    ({"name": "lion", "epsilon": 1e-7}, f"optimizer.epsilon: {UNKNOWN}"),
    ({"name": "muon", "global_clipnorm": float("inf")}, f"optimizer.global_clipnorm: {ABOVE_0}, got inf"),
]


@pytest.mark.parametrize(("written", "said"), OPTIMIZER)
def test_a_value_that_an_optimizer_does_not_take_is_refused_by_its_name(
    path: Path, written: dict[str, object], said: str
) -> None:
    reading.override(path, {"optimizer": written})

    assert refused(path) == [said]


def test_a_network_takes_any_plain_values(path: Path) -> None:
    values = {"widths": [64, 32], "dropout": 0.5, "norm": None, "deep": {"name": "a", "on": True}}
    reading.override(path, {"network.file": "own/nets/my-net_2.v1.py", "network.values": values})

    assert load(path).network.model_dump() == {"file": "own/nets/my-net_2.v1.py", "values": values}


def test_the_size_of_one_s_own_data_is_for_stage_scale_to_judge(path: Path) -> None:
    reading.override(path, {"data.dataset": "own", "data.validation_size": 2, "train.batch_size": 10**6})

    assert load(path).data.validation_size == 2


def test_the_range_test_must_span_a_factor_of_ten(path: Path) -> None:
    reading.override(path, {"range_test.lowest": 0.1, "range_test.highest": 0.9})

    assert refused(path) == ["range_test: expected highest to be at least ten times lowest, got 0.1 to 0.9"]


def leaves(values: dict[str, object], prefix: str = "") -> list[tuple[str, object]]:
    """Every parameter by its dotted name, with its value."""
    named = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        named += leaves(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return named


LEAVES = [
    (name, value)
    for name, value in leaves(DEFAULT.model_dump())
    # What a network takes is for its file to judge; pydantic fails at a name of thousands of digits.
    if not name.startswith("network.values") and name != "optimizer.name"
]
ENDLESS = [("400 digits", "9" * 400), ("more digits than Python writes", "0x" + "f" * 5000)]


@pytest.mark.parametrize("number", [text for _, text in ENDLESS], ids=[name for name, _ in ENDLESS])
@pytest.mark.parametrize(("name", "value"), LEAVES, ids=[name for name, _ in LEAVES])
def test_no_parameter_takes_a_number_without_end(path: Path, name: str, value: object, number: str) -> None:
    marker = 987654321
    reading.override(path, {name: [marker] if isinstance(value, tuple) else marker})
    path.write_text(path.read_text(encoding="utf-8").replace(str(marker), number), encoding="utf-8")

    (line,) = refused(path)

    assert line.startswith(name)
    assert " expected " in line
    assert len(line) < 300


NUMBERS = [name for name, value in LEAVES if type(value) in (int, float)]


@pytest.mark.parametrize("written", [True, "1"])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_not_guessed_from_something_else(path: Path, name: str, written: object) -> None:
    reading.override(path, {name: written})

    (line,) = refused(path)

    assert line.startswith(f"{name}: expected a valid ")
    assert line.endswith(f", got {written!r}")


def test_every_wrong_value_is_named_at_once(path: Path) -> None:
    reading.override(path, {"train.epochs": 0, "data.dataset": "x", "train.learning_rates": ["a", 0.1]})

    assert refused(path) == [
        f"data.dataset: expected {DATASET}, got 'x'",
        "train.learning_rates.0: expected a valid number, got 'a'",
        "train.epochs: expected a number greater than or equal to 1, got 0",
    ]


def test_the_ranges_follow_the_data_set_and_the_images_held_out(path: Path) -> None:
    reading.override(path, {"data.dataset": "digits", "data.validation_size": 0, "train.batch_size": 1500})
    assert load(path).train.batch_size == 1500
    reading.override(path, {"data.validation_size": 10})
    assert refused(path) == [
        "train.batch_size: expected at most the 1,490 training images of digits that data.validation_size "
        "leaves, got 1500"
    ]


def test_an_unknown_key_is_refused_and_the_one_it_hides_is_called_missing(path: Path) -> None:
    path.write_text(TEXT.replace("epochs: 20", "epoch: 20") + "more: 1\n: 2\n", encoding="utf-8")

    assert refused(path) == [
        "train.epochs: missing. Add it, or restore the file with git.",
        "train.epoch: unknown key. Remove it, or check its spelling.",
        "more: unknown key. Remove it, or check its spelling.",
        "None: unknown key. Remove it, or check its spelling.",
    ]


def test_a_long_value_is_not_repeated_in_full(path: Path) -> None:
    reading.override(path, {"data.dataset": "x" * 5000})

    assert refused(path) == [f"data.dataset: expected {DATASET}, got 'xxxxxxxxxxxx...xxxxxxxxxxxxx'"]


def test_a_list_of_millions_is_only_begun(path: Path) -> None:
    names = "abcdefghij"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{name}: &{name} [{', '.join(9 * [f'*{item}'])}]" for item, name in pairwise(names)]
    path.write_text("\n".join([*lines, "data: *j"]), encoding="utf-8")  # nine to the tenth power

    line = refused(path)[0]
    assert line.startswith("data: expected keys and their values, got [[[[[[")
    assert len(line) < 150


NO_PARAMS = [
    ("", "expected keys and their values, got None"),
    ("[]", "expected keys and their values, got []"),
    ("42", "expected keys and their values, got 42"),
]


@pytest.mark.parametrize(("text", "said"), NO_PARAMS)
def test_yaml_that_holds_no_params_is_refused(path: Path, text: str, said: str) -> None:
    path.write_text(text, encoding="utf-8")

    assert refused(path) == [said]


NOT_YAML = [
    (b"data: [", "expected the node content, but found '<stream end>' (line 1, column 8)"),
    (b"\tdata: 1", "found character '\\t' that cannot start any token (line 1, column 1)"),
    (b"a: 1\na: 2", 'found duplicate key "a" with value "2" (original value: "1") (line 2, column 1)'),
    (b"a: 1\n---\nb: 1", "but found another document (line 2, column 1)"),
    (b"a: *b", "found undefined alias 'b' (line 1, column 4)"),
    (b"a: !!python/object/apply:os.system [id]", "could not determine a constructor for the tag"),
    (b"a: !rate 0.1", "could not determine a constructor for the tag '!rate' (line 1, column 4)"),
    (b"a: \xff", "'utf-8' codec can't decode byte 0xff"),
    (b"a: \0", "special characters are not allowed"),
    (b"[" * 1000, "maximum recursion depth exceeded"),
]


@pytest.mark.parametrize(("content", "said"), NOT_YAML)
def test_broken_yaml_is_refused_with_line_and_column(path: Path, content: bytes, said: str) -> None:
    path.write_bytes(content)

    with pytest.raises(ParamsError) as caught:
        load(path)

    message = str(caught.value)
    assert message.startswith(f"{path}: expected YAML, got: ")
    assert said in message
    assert message.endswith(". Correct it, or restore the file with git.")


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_missing_file_is_refused_with_both_ways_out(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "params.yaml"
    if kind == "folder":
        path.mkdir()
    reason = {"missing": "No such file or directory", "folder": "Is a directory"}[kind]

    with pytest.raises(ParamsError) as caught:
        load(path)

    assert str(caught.value) == (
        f"{path}: expected the study's parameters, got: {reason}. "
        "Run from the repository's root, or restore the file with git."
    )


def test_params_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        DEFAULT.train.epochs = 1  # type: ignore[misc]


def test_the_command_line_says_it_without_a_traceback_and_before_any_work(path: Path) -> None:
    reading.override(path, {"train.epochs": 0})

    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "scale", "data/raw", "data/scaled"],
        cwd=path.parent,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "error: params.yaml: 1 value(s) that the study cannot work with:\n"
        "  train.epochs: expected a number greater than or equal to 1, got 0\n"
        "The comments in that file say what each value means and what it may be.\n"
    )
    assert [child.name for child in path.parent.iterdir()] == ["params.yaml"]
