"""Checks that the installed libraries fit Relayrun, without importing them."""

from __future__ import annotations

from relayrun_cli.errors import CliError


def check_requirements() -> None:
    """Raises CliError, which names each package that is too old, too new or missing."""
    from relayrun_core.requirements import sentence, unmet

    if problems := unmet("relayrun"):
        raise CliError(sentence(problems))
