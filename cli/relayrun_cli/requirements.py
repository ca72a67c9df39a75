"""Whether the libraries fit that Relayrun shares an environment with; without importing any of them."""

from __future__ import annotations

from relayrun_cli.errors import CliError


def check_requirements() -> None:
    """Raises CliError, which names each package that is too old, too new or missing."""
    from relayrun_core.requirements import sentence, unmet

    if problems := unmet("relayrun"):
        raise CliError(sentence(problems))
