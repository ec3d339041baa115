"""Broken or hostile files and parameters: a clear error or a right result, nothing else."""

import gzip
import hashlib
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from dvc.utils.serialize import load_yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipeline import params
from pipeline.core.datasets import DIGITS, Published
from pipeline.core.errors import DataError, DownloadError, ParamsError
from pipeline.download import raw_files, sources
from pipeline.params import reading
from tests.conftest import ROOT
from tests.hard.conftest import PATIENCE, locked, one_line, outputs, run_dvc, run_pipeline, start

pytestmark = pytest.mark.hard

TWO_HUNDRED = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
RUN = "runs/lr-0.01/seed-0"


# --- 200 mutated IDX files, 200 mutated params.yaml


def mutate(draw: st.DrawFn, content: bytes) -> bytes:
    """One to three things that happen to files: a bit flips, a part is lost, added or overwritten."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.one_of(st.integers(0, 19), st.integers(0, max(0, len(changed) - 1))))
        match draw(st.sampled_from(["flip", "cut", "insert", "drop", "number"])):
            case "flip" if position < len(changed):
                changed[position] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del changed[position:]
            case "insert":
                changed[position:position] = draw(st.binary(min_size=1, max_size=40))
            case "drop":
                del changed[position : position + draw(st.integers(1, 40))]
            case _:
                changed[position : position + 4] = struct.pack(
                    ">I", draw(st.sampled_from([0, 1, 297, 2**31 - 1, 2**32 - 1]))
                )
    return bytes(changed)


@TWO_HUNDRED
@given(data=st.data())
def test_a_mutated_idx_file_is_an_error_or_the_same_data(
    data: st.DataObject, finished: Path, tmp_path: Path
) -> None:
    raw = finished / "data" / "raw"
    images, labels = raw_files.read(raw, DIGITS.test)
    name = data.draw(st.sampled_from([DIGITS.test.images.name, DIGITS.test.labels.name]))
    for file in (DIGITS.test.images.name, DIGITS.test.labels.name):
        shutil.copyfile(raw / file, tmp_path / file)
    content = (raw / name).read_bytes()
    if data.draw(st.booleans(), label="inside the compression"):
        mutated = data.draw(st.composite(mutate)(gzip.decompress(content)))
        (tmp_path / name).write_bytes(gzip.compress(mutated, 1))
    else:
        (tmp_path / name).write_bytes(data.draw(st.composite(mutate)(content)))

    try:
        read_images, read_labels = raw_files.read(tmp_path, DIGITS.test)
    except DataError as error:
        assert "expected" in str(error)  # noqa: PT017  (an error is allowed, not required)
    else:
        np.testing.assert_array_equal(read_images, images)
        np.testing.assert_array_equal(read_labels, labels)


PARAMS = (ROOT / "params.yaml").read_text(encoding="utf-8")
TOKENS = [
    "nan", ".nan", ".inf", "-.inf", "-1", "0", "0.0", "1e400", "1e-400", "0x10", "0o17", "1_000", "1e3", "01",
    "true", "yes", "~", "''", '"', "[", "]", "{", "}", "*a", "&a 1", "!!float x", "!!python/name:os.system",
    "!!python/object/apply:os.system [\"touch pwned\"]", "|", ">", "- ", "%", "@", "`", "\t", "\0", "\x85",
    "🙂", "9" * 400, "[[[[[[", "? ", ": ", "<<: *a", "2001-01-01", "12:30:45", "!!binary aaaa",
]  # fmt: skip


@st.composite
def mutated_params(draw: st.DrawFn) -> str:
    lines = PARAMS.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(0, len(lines) - 1))
        line = lines[number]
        match draw(st.sampled_from(["value", "delete", "double", "indent", "flip", "item"])):
            case "value" if ":" in line:
                lines[number] = f"{line.partition(':')[0]}: {draw(st.sampled_from(TOKENS))}"
            case "item" if "[" in line:
                inside = line.partition("[")[2].partition("]")[0].split(",")
                inside[draw(st.integers(0, len(inside) - 1))] = draw(st.sampled_from(TOKENS))
                lines[number] = f"{line.partition('[')[0]}[{','.join(inside)}]"
            case "delete" if len(lines) > 1:
                del lines[number]
            case "double":
                lines.insert(number, line)
            case "indent":
                lines[number] = draw(st.sampled_from(["", " ", "    "])) + line.lstrip()
            case _ if line:
                position = draw(st.integers(0, len(line) - 1))
                lines[number] = line[:position] + draw(st.sampled_from("-.:,0 #'[]x")) + line[position + 1 :]
    return "\n".join(lines) + "\n"


@pytest.mark.filterwarnings("ignore::ruamel.yaml.error.ReusedAnchorWarning")
@TWO_HUNDRED
@given(text=mutated_params())
def test_a_mutated_params_yaml_is_an_error_or_read_as_written(text: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))

    try:
        study = params.load(path)
    except ParamsError as error:
        said = str(error)
        assert str(path) in said
        assert "expected" in said or "missing" in said or "unknown key" in said
        return

    train = study.train
    assert all(0 < rate < float("inf") for rate in train.learning_rates)
    assert len(set(train.learning_rates)) == len(train.learning_rates) >= 1
    assert min(train.epochs, train.batch_size, train.threads) >= 1
    written = YAML(typ="safe", pure=True).load(text)
    read = study.model_dump(exclude_unset=True)  # what an optimizer's file leaves out is Keras' default
    assert repr(_plain(read)) == repr(_plain(written)) == repr(_plain(load_yaml(path)))  # DVC's


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value)}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


# --- hostile input


@pytest.mark.parametrize(
    "tag",
    [
        '!!python/object/apply:os.system ["touch pwned"]',
        "!!python/name:os.system",
        '!!python/object/new:subprocess.Popen [["touch", "pwned"]]',
    ],
)
def test_a_yaml_tag_runs_nothing(study: Path, tag: str) -> None:
    text = (study / "params.yaml").read_text()
    (study / "params.yaml").write_text(text.replace("epochs: 3", f"epochs: {tag}"))

    ours = run_pipeline(study, "scale", "data/raw", "data/scaled")
    dvcs = run_dvc(study, "repro")

    assert ours.returncode == 1
    assert "params.yaml: expected YAML, got: could not determine a constructor for the tag" in one_line(
        ours.stderr
    )
    assert dvcs.returncode != 0
    assert not (study / "pwned").exists()
    assert outputs(study) == locked(study)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("learning_rates", "0.1; touch pwned"),
        ("learning_rates", "$(touch pwned)"),
        ("learning_rates", "`touch pwned`"),
        ("learning_rates", "0.1 | touch pwned"),
        ("seeds", "'; touch pwned; '"),
    ],
)
def test_a_shell_metacharacter_in_a_rate_or_a_seed_runs_nothing(study: Path, key: str, text: str) -> None:
    (study / ".dvc" / "config.local").write_text("[core]\n    autostage = false\n")

    done = run_dvc(study, "exp", "run", "-S", f'train.{key}=["{text}"]')

    assert done.returncode != 0
    assert "failed to reproduce 'check'" in done.stderr
    assert f"  train.{key}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "train@" not in done.stdout  # no other stage saw it
    assert not list(study.parent.rglob("pwned"))


@pytest.mark.parametrize("command", [("dvc", "repro"), ("dvc", "exp", "run"), ("pipeline", "sweep")])
@pytest.mark.parametrize("key", ["learning_rates", "seeds"])
def test_a_path_in_a_rate_or_a_seed_removes_nothing(study: Path, key: str, command: tuple[str, ...]) -> None:
    """DVC removes what lies at a stage's outputs before it starts the stage."""
    up = {"learning_rates": "../../../mine", "seeds": "/../../../../mine"}[key]
    kept = [study.parent / "mine" / "seed-0" / "work", study.parent / "mine" / "work", study / "mine/work"]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("of years")
    reading.override(study / "params.yaml", {"train.learning_rates": [0.01], f"train.{key}": [up]})

    with start(study, *command) as process:
        said, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode != 0
    assert f"  train.{key}" in said
    assert "Traceback" not in said
    assert [path.read_text() for path in kept] == ["of years"] * 3
    assert not list(study.parent.rglob("pwned"))


class Trap:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("pwned",)


TRAPS = [
    (f"{RUN}/predictions.npy", ("report", "data/scaled", "runs", "again")),
    (
        "data/scaled/train_inputs.npy",
        ("train", "--learning_rate", "0.01", "--seed", "0", "data/scaled", "again"),
    ),
]


@pytest.mark.parametrize(("path", "command"), TRAPS, ids=["predictions", "inputs"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "in a .npy"])
def test_a_pickle_where_an_array_should_be_is_not_read(
    study: Path, path: str, command: tuple[str, ...], wrapped: bool
) -> None:
    if wrapped:
        np.save(study / path, np.array([Trap()], dtype=object), allow_pickle=True)
    else:
        (study / path).write_bytes(pickle.dumps(Trap()))

    done = run_pipeline(study, *command)

    assert done.returncode == 1
    assert "expected a .npy array, got: " in one_line(done.stderr)
    assert not (study / "pwned").exists()
    assert not (study / "again").exists()


def test_a_checkpoint_that_is_a_pickle_is_not_read(study: Path) -> None:
    key = json.loads((study / RUN / "metrics.json").read_text())["run_key"]
    folder = study / ".scratch" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{key}.checkpoint", owner=np.array([Trap()], dtype=object), rows=np.zeros((1, 8)))

    done = run_pipeline(study, "train", "--learning_rate", "0.01", "--seed", "0", "data/scaled", "again")

    assert done.returncode == 0, done.stderr
    assert not (study / "pwned").exists()
    assert (study / "again/lr-0.01/seed-0/history.csv").read_bytes() == (
        study / RUN / "history.csv"
    ).read_bytes()


def test_a_keras_file_with_a_lambda_layer_is_not_run(study: Path) -> None:
    """Served models are loaded in Keras' safe mode, which builds no Python code from a file."""
    program = (
        "import sys, keras\n"
        "layer = keras.layers.Lambda(lambda x: (__import__('os').mkdir('pwned'), x)[1], output_shape=(10,))\n"
        "row = keras.layers.Flatten()\n"
        "model = keras.Sequential([keras.Input((28, 28, 1)), row, keras.layers.Dense(10), layer])\n"
        "model.save(sys.argv[1])\n"
    )
    serve = (
        "import sys\nsys.path.insert(0, 'pipeline/tracking/served')\n"
        "import numpy, learning_rate_study_model as served\n"
        "network = served._load_pyfunc(sys.argv[1], {'shape': (28, 28, 1), 'mean': 0, 'deviation': 255})\n"
        "print(network.predict(numpy.zeros((1, 28, 28, 1))))\n"
    )
    path = study / RUN / "model.keras"
    assert _python(study, serve, str(path)).returncode == 0  # the real one is served
    path.unlink()
    made = _python(study, program, str(path))
    assert made.returncode == 0, made.stderr
    shutil.rmtree(study / "pwned", ignore_errors=True)  # saving called the layer once
    assert b"Lambda" in zipfile.ZipFile(path).read("config.json")

    served = _python(study, serve, str(path))

    assert served.returncode != 0
    assert "safe" in served.stderr
    assert not (study / "pwned").exists()
    assert RUN in run_dvc(study, "status").stdout  # and DVC sees that it is not the run's model


def _python(folder: Path, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


# --- downloads that break off, lie, or unfold to more than there is memory


class Faulty(ThreadingHTTPServer):
    """Announces all of the content and sends a part of it."""

    def __init__(self, content: bytes, sent: int) -> None:
        super().__init__(("127.0.0.1", 0), _Part)
        self.content, self.sent = content, sent


class _Part(BaseHTTPRequestHandler):
    server: Faulty

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content[: self.server.sent])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[Faulty]:
    content = np.random.default_rng(0).bytes(2_000_000)
    server = Faulty(content, len(content))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_cut_at_every_tenth_leaves_nothing_and_then_comes_whole(
    server: Faulty, tmp_path: Path
) -> None:
    published = {"a.gz": Published(len(server.content), hashlib.sha256(server.content).hexdigest())}
    dataset = SimpleNamespace(name="mnist", title="MNIST", published=published)
    from_server = {f"http://127.0.0.1:{server.server_port}/": "test"}
    for tenth in range(10):
        server.sent = len(server.content) * tenth // 10
        with pytest.raises(DownloadError) as caught:
            sources.collect(dataset, from_server, tmp_path / "raw", timeout=5, retries=0)
        assert "expected 2,000,000 bytes" in str(caught.value) or "IncompleteRead" in str(caught.value)
        assert list((tmp_path / "raw").iterdir()) == []

    server.sent = len(server.content)
    sources.collect(dataset, from_server, tmp_path / "raw", timeout=5, retries=0)
    assert (tmp_path / "raw" / "a.gz").read_bytes() == server.content


def bomb(path: Path) -> None:
    """A gigabyte of zeros in a megabyte."""
    packer = zlib.compressobj(1, wbits=16 + zlib.MAX_WBITS)
    with path.open("wb") as stream:
        for _ in range(1024):
            stream.write(packer.compress(bytes(1 << 20)))
        stream.write(packer.flush())


def lie(path: Path) -> None:
    """A header that promises two thousand million images, and one image."""
    path.write_bytes(gzip.compress(struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31 - 1, 28, 28) + bytes(784)))


@pytest.mark.parametrize("harm", [bomb, lie])
def test_memory_stays_bounded_whatever_a_file_claims(study: Path, harm: object) -> None:
    harm(study / "data/raw/train-images-idx3-ubyte.gz")  # type: ignore[operator]
    before = outputs(study)["data/scaled"]
    # Started by a small process: Linux counts into a child's peak what its parent held at the time.
    command = ["benchmarks.measured", "pipeline", "scale", "data/raw", "data/scaled"]
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=study, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "expected" in one_line(done.stderr)
    _, _, peak = json.loads(done.stdout)
    assert peak < 300  # MB; numpy, pandas and the small data set are some 150
    assert outputs(study)["data/scaled"] == before


# --- own tasks, as a person runs them; tests/download, tests/params and tests/train have the tables of words

TABLE, LABELS = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32), np.arange(60) % 3
NETWORK = """from keras import Sequential, layers


def build(input_shape, classes, seed, width=4):
    return Sequential([layers.Dense(width, activation="relu"), layers.Dense(classes, activation="softmax")])
"""


def written(**arrays: object) -> Callable[[Path], object]:
    """An .npz in data/own that is right, but for these arrays."""
    content = {"x_train": TABLE, "y_train": LABELS} | arrays
    return lambda folder: np.savez(folder / "data/own/data.npz", **content)


def own_network(old: str, new: str) -> Callable[[Path], object]:
    """The network's file with another text."""
    assert old in NETWORK
    return lambda folder: (folder / "own.py").write_text(NETWORK.replace(old, new))


def changed(key: str, value: object) -> Callable[[Path], object]:
    return lambda folder: reading.override(folder / "params.yaml", {key: value})


def stray_file(folder: Path) -> None:
    (folder / "data/own/data.npz").unlink()
    (folder / "data/own/train/cat").mkdir(parents=True)
    (folder / "data/own/train/cat/notes.txt").write_text("meow")


NAN = np.where(np.arange(60)[:, None] == 7, np.nan, TABLE)
BROKEN = {
    "momentum 2": (changed("optimizer", {"name": "sgd", "momentum": 2}), "check", "params.yaml: 1 value(s)"),
    "a syntax error": (own_network("):", ")"), "check", "network.file, own.py: expected a Python file with"),
    "NaN": (written(x_train=NAN), "download", "data.npz: x_train: expected finite numbers"),
    "one class": (written(y_train=np.zeros(60, int)), "download", "expected at least 2 classes, got 1"),
    "objects": (written(x_train=TABLE.astype(object)), "download", "data.npz: x_train: expected an array"),
    "a stray file": (stray_file, "download", "notes.txt: expected a .png, .jpg or .jpeg file"),
    "too many held out": (changed("data.validation_size", 47), "scale", "expected examples of every class"),
    "another output": (own_network("Dense(classes", "Dense(7"), "train@0.01-0", "each of the 3 classes"),
    "no such value": (changed("network.values", {"depth": 3}), "train@0.01-0", "keyword argument 'depth'"),
    "a batch too large": (changed("train.batch_size", 500), "train@0.01-0", "at most the 39 training"),
}  # fmt: skip


@pytest.mark.parametrize(("breaks", "stage", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_task_is_a_line_from_the_stage_that_sees_it_first(
    project: Path, breaks: Callable[[Path], object], stage: str, said: str
) -> None:
    changes = {
        "data.dataset": "own",
        "data.validation_size": 9,
        "network": {"file": "own.py", "values": {}},
        "train.batch_size": 8,
    }
    reading.override(project / "params.yaml", changes)
    (project / "own.py").write_text(NETWORK)
    written()(project)
    breaks(project)

    done = run_dvc(project, "repro", "train")

    assert done.returncode != 0
    assert said in one_line(done.stderr)
    assert f"failed to reproduce '{stage}'" in done.stderr
    assert "got" in done.stderr
    outs = {"check": "data/checked", "download": "data/raw", "scale": "data/scaled"}
    assert not (project / outs.get(stage, "runs/lr-0.01/seed-0")).exists()
    assert not [path for path in (project / "data").rglob(".*") if path.name != ".gitignore"]
