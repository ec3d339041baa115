"""From the file to the models."""

from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import ParamsError
from pipeline.params.data import DataParams
from pipeline.params.report import ReportParams
from pipeline.params.section import Section
from pipeline.params.train import TrainParams


class Params(Section):
    """The whole of params.yaml."""

    data: DataParams
    train: TrainParams
    report: ReportParams


def load(path: Path = Path("params.yaml")) -> Params:
    """Read params.yaml as DVC reads it (YAML 1.2: `1e-3` is a number).

    Raises:
        ParamsError: not there, no YAML, or any value that the models refuse; names every such value.
    """
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamsError(
            f"{path}: expected the study's parameters, got: {error.strerror}. "
            "Run from the repository's root, or restore the file with git."
        ) from error
    except (YAMLError, UnicodeDecodeError, ValueError) as error:
        raise ParamsError(
            f"{path}: expected YAML, got: {error}. Mend that place, or restore the file with git."
        ) from error
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ParamsError(_explain(path, error)) from None


def _explain(path: Path, error: ValidationError) -> str:
    lines = [f"{path}: {error.error_count()} value(s) that the study cannot work with:"]
    for detail in error.errors(include_url=False):
        place = ".".join(str(part) for part in detail["loc"]) or "the file"
        match detail["type"]:
            case "extra_forbidden":
                lines.append(f"  {place}: unknown key. Remove it, or check its spelling.")
            case "missing":
                lines.append(f"  {place}: missing. Add it; README.md lists what each key means.")
            case _:
                message = detail["msg"].removeprefix("Value error, ")
                lines.append(f"  {place}: {message} (got {detail['input']!r}).")
    return "\n".join(lines)
