"""The environment of author code: the variables of `env`, and the folders of `dependencies` on `sys.path`."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from dotenv import dotenv_values

from relayrun_runner.config.model import Config, is_a_file


def prepare_environment(config: Config, *, env_wins: bool = False) -> None:
    """Set the variables of `env` and put local dependencies on `sys.path`. Call it before author code loads.

    A variable that the process has already stays, unless `env_wins`: what a cluster's Secret sets is nearer to the
    person than what an image carries.
    """
    for name, value in read_env(config).items():
        if not name.startswith("RELAYRUN_") and (env_wins or name not in os.environ):
            os.environ[name] = value
    for folder in import_folders(config):
        if str(folder) not in sys.path:
            # At the end: a file of the author called types.py must not replace a module of ours.
            sys.path.append(str(folder))


def remarks(config: Config, *, env_wins: bool = False) -> list[str]:
    """What a person should know before this is used, a sentence each; without it the agent may start all the same."""
    found = [*_about_paths(config), *_about_variables(config, env_wins=env_wins)]
    return [f"{config.file.name}: {sentence}" for sentence in found]


def read_env(config: Config) -> dict[str, str]:
    """The variables that `env` names, from its mapping or its file; none if there is no such file."""
    if config.env is None or isinstance(config.env, dict):
        return dict(config.env or {})
    return {name: value for name, value in dotenv_values(config.path(config.env)).items() if value is not None}


def import_folders(config: Config) -> list[Path]:
    """The folders that author code is imported from: where paths start, each local dependency, and their `src`."""
    folders: list[Path] = []
    for entry in (".", *config.dependencies):
        folder = config.dependency(entry)
        if folder.is_dir():
            source = folder / "src"
            # With an __init__.py, src is itself a package and not a folder of packages.
            is_layout = source.is_dir() and not (source / "__init__.py").exists()
            folders += [source, folder] if is_layout else [folder]
    return list(dict.fromkeys(folders))


def _about_paths(config: Config) -> Iterator[str]:
    if isinstance(config.env, str) and not config.path(config.env).is_file():
        yield f"env: there is no file {config.path(config.env)}; its variables are not set"
    for entry in config.dependencies:
        if entry.startswith((".", "/")) and not config.path(entry).exists():
            yield f"dependencies: {config.path(entry)} does not exist: correct or remove {entry!r}"
    for key, relative in _relative_paths(config).items():
        if config.path(relative) != (config.folder / relative).resolve():
            yield f"{key}: {config.folder} has no {relative}, so {config.path(relative)} is used"


def _relative_paths(config: Config) -> dict[str, str]:
    places = {key: reference.rpartition(":")[0] for key, reference in config.references.items()}
    files = {key: where for key, where in places.items() if is_a_file(where)}
    return {**files, "env": config.env} if isinstance(config.env, str) else files


def _about_variables(config: Config, *, env_wins: bool) -> Iterator[str]:
    variables = read_env(config)
    if ours := sorted(name for name in variables if name.startswith("RELAYRUN_")):
        yield f"env: {', '.join(ours)} not used: set it where Relayrun is started"
    differing = {name for name, value in variables.items() if os.environ.get(name, value) != value}
    if differing := differing.difference(ours):
        names = ", ".join(sorted(differing))
        yield f"env: {names} replaces that of the shell" if env_wins else f"env: the environment's {names} stays"
