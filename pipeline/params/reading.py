"""From the file to the models, and what to say of a value that they refuse."""

import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.core import files
from pipeline.core.errors import ParamsError
from pipeline.params.models import Params

WORDS = {
    "dict_type": "expected keys and their values",
    "extra_forbidden": "unknown key. Remove it, or check its spelling.",
    "invalid_key": "unknown key. Remove it, or check its spelling.",
    "missing": "missing. Add it, or restore the file with git.",
    "model_attributes_type": "expected keys and their values",
    "model_type": "expected keys and their values",
    "string_too_short": "expected a text that is not empty",
    "string_type": "expected a text",
    "tuple_type": "expected a list",
    "union_tag_not_found": "expected a name and values",
}
"""For those of pydantic's errors that speak of Python's types; the others are clear as they are."""


def load(path: Path = Path("params.yaml")) -> Params:
    """Read params.yaml as DVC reads it (YAML 1.2: `1e-3` is a number).

    Raises:
        ParamsError: not there, not YAML, or any value that the models refuse; names every such value.
    """
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamsError(
            f"{path}: expected the study's parameters, got: {error.strerror}. "
            "Run from the repository's root, or restore the file with git."
        ) from error
    except (YAMLError, ValueError, RecursionError) as error:  # not UTF-8 is a ValueError
        problem: object = error
        if isinstance(error, MarkedYAMLError) and error.problem and (mark := error.problem_mark):
            problem = f"{error.problem} (line {mark.line + 1}, column {mark.column + 1})"
        raise ParamsError(
            f"{path}: expected YAML, got: {problem}. Correct it, or restore the file with git."
        ) from error
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = [f"  {_explain_refusal(detail)}\n" for detail in error.errors(include_url=False)]
        raise ParamsError(
            f"{path}: {len(lines)} value(s) that the study cannot work with:\n{''.join(lines)}"
            "The comments in that file say what each value means and what it may be."
        ) from None


def _explain_refusal(detail: Any) -> str:
    """Say which value it is, what was expected, and what came."""
    message = WORDS.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "union_tag_invalid":
        return (
            f"{'.'.join(map(str, detail['loc']))}.name: expected {detail['ctx']['expected_tags']}, "
            f"got {_shorten(detail['ctx']['tag'])}"
        )
    message = re.sub("Input should be (?=greater|less)", "expected a number ", message)
    message = message.replace("Input should be", "expected")
    if detail["type"] not in ("extra_forbidden", "invalid_key", "missing") and ", got " not in message:
        message += f", got {_shorten(detail['input'])}"
    # Below a union stands the name of the member that was chosen, which is no key.
    loc = [
        key for key, above in zip(detail["loc"], ("", *detail["loc"]), strict=False) if above != "optimizer"
    ]
    key = ".".join(map(str, loc))
    return f"{key}: {message}" if key else message


def _shorten(value: object) -> str:
    """Give the beginning of `repr`: YAML's aliases can stand for millions of items."""
    try:
        text = reprlib.repr(value)
    except ValueError:  # Python writes no integer of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def override(path: Path, changes: Mapping[str, object]) -> None:
    """Set values in a params.yaml by their dotted names; comments and all else stay as they are."""
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)  # as the file is written
    document = yaml.load(path.read_text(encoding="utf-8"))
    for name, value in changes.items():
        *sections, key = name.split(".")
        values = document
        for section in sections:
            values = values[section]
        if isinstance(values.get(key), list) and isinstance(value, list):
            values[key][:] = value  # on one line, if it was
        else:
            values[key] = value
    with files.replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        yaml.dump(document, stream)
