"""A page for the command line, of its parser."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

import typer

from relayrun_cli.main import command_line
from tests.docs.reference.markdown import NOTE, code, limits, sentences, table, text


def page() -> str:
    """Every verb, with its arguments and options."""
    command = typer.main.get_command(command_line())
    return (
        f"# All options of relayrun\n\n{NOTE}What `relayrun VERB --help` says, for every verb."
        " [The command](cli.md) explains them.\n\n" + "".join(_verbs(command, "relayrun")).rstrip() + "\n"
    )


def _verbs(command: Any, name: str) -> Iterator[str]:
    for verb in getattr(command, "commands", {}).values():
        if verb.hidden:
            continue
        yield from _verb(verb, f"{name} {verb.name}")
        yield from _verbs(verb, f"{name} {verb.name}")


def _verb(verb: Any, name: str) -> Iterator[str]:
    arguments = [p for p in verb.params if p.param_type_name == "argument"]
    options = [p for p in verb.params if p.param_type_name == "option" and not p.hidden and p.name != "help"]
    usage = " ".join([name, *("[OPTIONS]" if options else "",), *((a.metavar or a.name.upper()) for a in arguments)])
    yield f"## {name}\n\n```text\n{' '.join(usage.split())}\n```\n\n{_paragraphs(verb.help)}\n\n"
    yield table(("Option", "Type", "Default", "What it does"), map(_option, options))


def _paragraphs(told: str | None) -> str:
    return "\n\n".join(text(paragraph) for paragraph in (told or "").replace("\b", "").split("\n\n"))


def _option(option: Any) -> tuple[str, ...]:
    names = ", ".join(code(name) for name in (*option.opts, *option.secondary_opts))
    default = option.default if isinstance(option.default, (str, int, float)) and not option.is_flag else None
    variables = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
    told = [text(option.help)]
    if variables:
        told.append("Variable: " + ", ".join(map(code, variables)))
    if option.required:
        told.append("Required")
    annotation = option.type_descriptor.annotation
    choices = [each.value for each in annotation] if issubclass(annotation, Enum) else []
    kind = "flag" if option.is_flag else "choice" if choices else annotation.__name__
    told.append(limits({"enum": list(choices)} if choices else _range(option)))
    if option.multiple and "repeated" not in (option.help or ""):
        told.append("May be repeated")
    return names, kind, code(default), sentences(*told)


def _range(option: Any) -> dict[str, Any]:
    bounds = {"minimum": option.min, "maximum": option.max}
    return {name: bound for name, bound in bounds.items() if bound is not None}
