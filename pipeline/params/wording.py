"""What is said about a value that was refused: where it is, what was expected, what came."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml.error import MarkedYAMLError

EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "float_parsing": "a decimal number",
    "float_type": "a decimal number",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "literal_error": "{expected}",
    "model_type": "keys and their values",
    "string_too_short": "a text that is not empty",
    "string_type": "a text",
    "too_short": "a list of at least {min_length}",
    "tuple_type": "a list",
}
"""For pydantic's types of errors; the names in braces are in the error's context."""


def unreadable(path: Path, error: Exception) -> str:
    """What keeps the file from being YAML, and in which line."""
    problem = str(error)
    if isinstance(error, MarkedYAMLError) and error.problem and error.problem_mark:
        mark = error.problem_mark
        problem = f"{error.problem} (line {mark.line + 1}, column {mark.column + 1})"
    return f"{path}: expected YAML, got: {problem}. Mend that place, or restore the file with git."


def explain(path: Path, error: ValidationError) -> str:
    """One line for each refused value, in the order of the models."""
    details = error.errors(include_url=False)
    # A list whose items were refused is called empty as well, which it is not.
    lines = [_line(detail) for detail in details if detail["type"] != "too_short" or not detail["input"]]
    return "\n".join(
        [
            f"{path}: {len(lines)} value(s) that the study cannot work with:",
            *(f"  {line}" for line in lines),
            "The comments in that file say what each value means and what it may be.",
        ]
    )


def _line(detail: Any) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "the file"
    match detail["type"]:
        case "unfit":  # about several values, so that it names its own place
            return str(detail["msg"])
        case "missing":
            said = "missing. Add it, or restore the file with git"
        case "extra_forbidden":
            said = "unknown key. Remove it, or check its spelling"
        case _:
            said = _comparison(detail)
    return f"{place}: {said}."


def _comparison(detail: Any) -> str:
    value, kind = detail["input"], detail["type"]
    message = detail["msg"].removeprefix("Value error, ")
    if ", got " in message:  # a check of our own that says it more closely
        return str(message)
    if kind in EXPECTED:
        message = f"expected {EXPECTED[kind].format(**detail.get('ctx', {}))}"
    hint = f": write [{value}]" if kind == "tuple_type" and isinstance(value, str | int | float) else ""
    return f"{message}, got {short(value)}{hint}"


def short(value: object, spec: str = "") -> str:
    """The value as it is said in an error, 80 characters at most.

    Args:
        spec: how a number is written, as `format` takes it.
    """
    try:
        text = "nothing" if value is None else format(value, spec) if spec else _begun(value)
    except ValueError:  # Python writes no integer of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _begun(value: object) -> str:
    """What `repr` writes, as far as it is needed: YAML's aliases can stand for millions of items."""
    text = ""
    for piece in _pieces(value):
        text += piece
        if len(text) > 80:
            break
    return text


def _pieces(value: object) -> Iterator[str]:
    match value:
        case dict():
            yield "{"
            for number, (key, item) in enumerate(value.items()):
                yield ", " if number else ""
                yield from _pieces(key)
                yield ": "
                yield from _pieces(item)
            yield "}"
        case list() | tuple():
            yield "[" if isinstance(value, list) else "("
            for number, item in enumerate(value):
                yield ", " if number else ""
                yield from _pieces(item)
            yield "]" if isinstance(value, list) else ",)" if len(value) == 1 else ")"
        case _:
            yield repr(value)
