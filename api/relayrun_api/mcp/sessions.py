"""Sessions of the versions that have them. What was agreed on is in the id: any replica knows it, whoever died.

Nothing is kept for one, so that there is nothing to end. It is no proof of who calls: each request says that itself.
"""

import re
from dataclasses import dataclass
from uuid import uuid4

from relayrun_api.mcp.errors import INVALID_REQUEST, McpError

_FORM = re.compile(r"(?P<version>\d{4}-\d{2}-\d{2})\.(?P<elicits>[01])\.[0-9a-f]{32}")


@dataclass(frozen=True)
class Session:
    """A session: its id, the version that was agreed on, and whether the client asks its user for the server."""

    session_id: str
    version: str
    elicits: bool


def new_session(version: str, *, elicits: bool) -> Session:
    """A session that begins."""
    return Session(f"{version}.{int(elicits)}.{uuid4().hex}", version, elicits)


def session_of(session_id: str | None) -> Session | None:
    """The session that a request is in; None: in none. Raises McpError for one that no server of ours began."""
    from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

    if session_id is None:
        return None
    found = _FORM.fullmatch(session_id)
    if found is None or found["version"] not in HANDSHAKE_PROTOCOL_VERSIONS:
        raise McpError(INVALID_REQUEST, "There is no such session: start one with `initialize`.", status=404)
    return Session(session_id, found["version"], found["elicits"] == "1")
