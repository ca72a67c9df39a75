"""docs/reference/cli.md says which verbs, options and exit codes there are; this holds it against the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from relayrun_cli.errors import ExitCode
from relayrun_cli.main import command_line
from tests.cli.documents import rows, sections

PAGE = sections("reference/cli.md")
API_OPTIONS = {"--url", "--token", "--api-key"}


def verbs(group: Any = None, name: str = "relayrun") -> Iterator[tuple[str, Any]]:
    """Every command by its full name."""
    for word, command in (group or typer.main.get_command(command_line())).commands.items():
        yield f"{name} {word}", command
        if hasattr(command, "commands"):
            yield from verbs(command, f"{name} {word}")


def options(command: Any) -> set[str]:
    return {
        spelling
        for parameter in command.params
        if is_option(parameter)
        for spelling in (*parameter.opts, *parameter.secondary_opts)
    }


def usage(name: str, command: Any) -> str:
    arguments = [parameter for parameter in command.params if not is_option(parameter)]
    return " ".join([name, *(argument.metavar or argument.name.upper() for argument in arguments)])


def is_option(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "option")


def documented(section: str) -> set[str]:
    return {spelling for cells in rows(section) for spelling in re.findall(r"`(-[^` ]+)`", cells[0])}


VERBS = dict(verbs())


def test_every_verb_is_on_the_page_with_its_arguments_and_no_other() -> None:
    on_the_page = [heading.strip("`") for heading in PAGE if heading.startswith("`relayrun ")]
    assert sorted(on_the_page) == sorted(usage(name, command) for name, command in VERBS.items())


@pytest.mark.parametrize("name", VERBS)
def test_every_option_is_on_the_page_and_no_other(name: str) -> None:
    command = VERBS[name]
    ours = options(command) - {"--help"}
    of_the_api = ours & API_OPTIONS
    assert of_the_api in (set(), API_OPTIONS)
    assert documented(PAGE[f"`{usage(name, command)}`"]) == ours - API_OPTIONS


def test_the_options_of_the_api_and_their_variables_are_on_the_page() -> None:
    table = {cells[0].strip("`"): cells[1].strip("`") for cells in rows(PAGE["Where the API is, and who you are"])}
    parameters = {parameter.opts[0]: parameter for parameter in VERBS["relayrun ps"].params}
    assert table == {option: parameters[option].envvar for option in API_OPTIONS}


def test_the_exit_codes_are_on_the_page() -> None:
    codes = {int(cells[0]): cells[1] for cells in rows(PAGE["Exit codes"])}
    assert sorted(codes) == sorted(ExitCode)
    for code, text in codes.items():
        assert text.lower().startswith(ExitCode(code).name.split("_")[0].lower().replace("stopped", "cancelled"))


def test_every_verb_about_runs_has_examples_in_its_help() -> None:
    without = [name for name, command in VERBS.items() if options(command) >= API_OPTIONS and not command.epilog]
    assert without == []
