"""What author code finds around it: the variables of `env`, and the folders of `dependencies` on `sys.path`."""

import logging
import os
import sys
from pathlib import Path

from dotenv import dotenv_values

from relayrun_runner.config.model import Config
from relayrun_runner.errors import ConfigError

log = logging.getLogger("relayrun.runner")


def prepare_environment(config: Config) -> None:
    """Set the variables of `env` and put local dependencies on `sys.path`. Call it before author code loads.

    A variable that the process has already wins over the file: what a cluster's Secret or a shell sets is nearer to
    the person than what an image carries. Raises ConfigError for files and folders that do not exist.
    """
    for name, value in read_env(config).items():
        if name.startswith("RELAYRUN_"):
            log.warning("%s: env.%s is not used: set it where the runner is started", config.file, name)
        elif name not in os.environ:
            os.environ[name] = value
        elif os.environ[name] != value:
            log.info("%s comes from the environment, not from env of %s", name, config.file.name)
    for folder in import_folders(config):
        if str(folder) not in sys.path:
            # At the end: a file of the author called types.py must not replace a module of ours.
            sys.path.append(str(folder))


def read_env(config: Config) -> dict[str, str]:
    """The variables that `env` names, from its mapping or its file."""
    if config.env is None or isinstance(config.env, dict):
        return dict(config.env or {})
    file = config.folder / config.env
    if not file.is_file():
        raise ConfigError(config.file, "env", f"{file} does not exist: create it, or remove the key")
    return {name: value for name, value in dotenv_values(file).items() if value is not None}


def import_folders(config: Config) -> list[Path]:
    """The folders that author code is imported from: the file's own, each local dependency, and their `src`."""
    folders: list[Path] = []
    for entry in (".", *config.dependencies):
        folder = (config.folder / entry).resolve()
        if folder.is_dir():
            source = folder / "src"
            # With an __init__.py, src is itself a package and not a folder of packages.
            is_layout = source.is_dir() and not (source / "__init__.py").exists()
            folders += [source, folder] if is_layout else [folder]
        elif entry.startswith((".", "/")):
            raise ConfigError(config.file, "dependencies", f"{folder} is not a folder: correct or remove {entry!r}")
    return list(dict.fromkeys(folders))
