"""A network's definition: a Python file of the repository with `build(input_shape, classes, seed, **values)`.

Read and compiled without being run, so that what is no Python is refused before anything waits for it; as
text it travels to other machines.
"""

import ast
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.core.errors import ParamsError


class NetworkFile(NamedTuple):
    """The file's path, as params.yaml names it, and its text."""

    path: str
    source: str

    def build_function(self) -> Callable[..., Any]:
        """Run the file as a module of its own, and give its `build`.

        Raises:
            ParamsError: it cannot be run, or defines no such function.
        """
        namespace: dict[str, Any] = {"__name__": "network", "__file__": self.path}
        try:
            exec(compile(self.source, self.path, "exec"), namespace)  # noqa: S102 - the person's own code
        except (Exception, SystemExit) as error:
            raise _refusal(self.path, f"it fails with {type(error).__name__}: {error}") from error
        build: Callable[..., Any] | None = namespace.get("build")
        if not callable(build):
            raise _refusal(self.path, "it defines no such function")
        return build


def read(path: str, root: Path = Path()) -> NetworkFile:
    """Read the file that `network.file` of params.yaml names.

    Raises:
        ParamsError: not there, not text, not Python, or in need of another file of the repository.
    """
    try:
        source = (root / path).read_text(encoding="utf-8")
        compile(source, path, "exec")
    except OSError as error:
        raise _refusal(path, error.strerror or str(error)) from error
    except SyntaxError as error:
        raise _refusal(path, error.msg + f" (line {error.lineno})" * bool(error.lineno)) from error
    except ValueError as error:  # neither UTF-8 nor without zero bytes
        raise _refusal(path, str(error)) from error
    for node in ast.walk(ast.parse(source)):
        for module in _imported(node):
            if _is_in(root, module):
                raise ParamsError(
                    f"network.file, {path}: expected one file, got one that imports {module} of this "
                    f"repository, whose changes nothing would notice. Put what it needs of it into {path}."
                )
    return NetworkFile(path, source)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return ["." * node.level + (node.module or "")]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def _is_in(root: Path, module: str) -> bool:
    """Say whether a module is a file or a folder of the root's, which is where `python -m` looks first."""
    if module.startswith("."):
        return True
    spec = importlib.util.find_spec(module.partition(".")[0])
    paths = spec and (spec.submodule_search_locations or [spec.origin or ""])
    return root.absolute() in {Path(path).parent for path in paths or ()}


def _refusal(path: str, finding: str) -> ParamsError:
    return ParamsError(
        f"network.file, {path}: expected a Python file with `build(input_shape, classes, seed, **values)`, "
        f"got: {finding}. docs/own-task.md shows how to write one."
    )
