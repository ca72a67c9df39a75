"""Loads an object that a `langgraph.json` names: `./path.py:name` or `package.module:name`.

A file is imported under the dotted name it has below a folder of `sys.path`, so that relative imports work, nothing
is imported twice, and a class stored in a checkpoint is found again by another runner.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from relayrun_runner.author_errors import GRAPHS
from relayrun_runner.config.environment import import_folders
from relayrun_runner.config.model import Config, is_a_file


class ObjectNotFound(LookupError):
    """The module was loaded and has no such object, or the file or module does not exist."""


def load_object(config: Config, reference: str) -> Any:
    """The object that `reference` names. Raises ObjectNotFound, or whatever the author's code raises at import."""
    where, _, attribute = reference.rpartition(":")
    module = _load_file(config, where) if is_a_file(where) else _load_module(where)
    value: Any = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            public = ", ".join(sorted(name for name in vars(module) if not name.startswith("_"))) or "nothing"
            raise ObjectNotFound(f"{where} has no {attribute!r}; it has {public}")
        value = getattr(value, part)
    return value


def _load_module(name: str) -> ModuleType:
    try:
        found = importlib.util.find_spec(name) is not None
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # a package above imports something that is missing: the author's own error
        found = False
    if not found:
        raise ObjectNotFound(f"there is no module {name}: add its folder to dependencies, or install its package")
    return importlib.import_module(name)


def _load_file(config: Config, where: str) -> ModuleType:
    file = config.path(where)
    if not file.is_file():
        raise ObjectNotFound(f"{file} does not exist")
    dotted = _dotted_name(config, file)
    if dotted and _is_found_as(dotted, file):
        return importlib.import_module(dotted)
    return _load_alone(file, f"{GRAPHS}.{dotted or file.stem}".replace("-", "_"))


def _dotted_name(config: Config, file: Path) -> str | None:
    folders = [folder for folder in import_folders(config) if file.is_relative_to(folder)]
    if not folders:
        return None
    nearest = max(folders, key=lambda folder: len(folder.parts))
    parts = file.relative_to(nearest).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else None


def _is_found_as(dotted: str, file: Path) -> bool:
    """Whether `import dotted` would load this very file, and not an installed module of the same name."""
    loaded = sys.modules.get(dotted)
    if loaded is not None:
        return loaded.__file__ is not None and Path(loaded.__file__).resolve() == file
    try:
        spec = importlib.util.find_spec(dotted)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{dotted}.".startswith(f"{error.name}."):
            raise
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == file


def _load_alone(file: Path, name: str) -> ModuleType:
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(file):
        return loaded
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ObjectNotFound(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
