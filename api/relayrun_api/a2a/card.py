"""Agent cards: what other agents need to know to call one, in the forms of 0.3 and 1.0 at once. Pure."""

from collections.abc import Mapping
from typing import Any

from relayrun_api import __version__
from relayrun_api.assistants.lookup import Assistant

_MODES = ["text/plain", "application/json"]
_BINDING = "JSONRPC"


def agent_card(assistant: Assistant, url: str, *, auth: tuple[str, ...]) -> dict[str, Any]:
    """The card of an assistant that is called at `url`."""
    description = assistant.row.description or f"{assistant.row.name} assistant"
    modes = [*_MODES, "*/*"] if assistant.takes_messages else ["application/json"]
    versions = [{"url": url, "protocolBinding": _BINDING, "protocolVersion": version} for version in ("1.0", "0.3")]
    skill = {
        "id": f"{assistant.assistant_id}-main",
        "name": assistant.row.name,
        "description": description,
        "tags": ["assistant", "langgraph"],
        "examples": [],
        "inputModes": modes,
        "outputModes": _MODES,
    }
    return {
        "name": assistant.row.name,
        "description": description,
        "version": __version__,
        "protocolVersion": "0.3.0",
        "url": url,
        "preferredTransport": _BINDING,
        "supportedInterfaces": versions,
        "capabilities": {"streaming": True, "pushNotifications": True, "stateTransitionHistory": False},
        "defaultInputModes": modes,
        "defaultOutputModes": _MODES,
        "skills": [skill],
        **_security(auth),
    }


def _security(auth: tuple[str, ...]) -> Mapping[str, Any]:
    schemes: dict[str, dict[str, Any]] = {}
    if {"jwt", "custom"} & set(auth):
        # Each scheme in the words of both versions.
        schemes["bearer"] = {"type": "http", "scheme": "bearer", "httpAuthSecurityScheme": {"scheme": "bearer"}}
    if "api-key" in auth:
        where = {"name": "X-Api-Key"}
        schemes["key"] = {
            "type": "apiKey", "in": "header", **where, "apiKeySecurityScheme": {"location": "header", **where}
        }  # fmt: skip
    if not schemes:
        return {}
    return {
        "securitySchemes": schemes,
        "security": [{name: []} for name in schemes],
        "securityRequirements": [{"schemes": {name: {"list": []}}} for name in schemes],
    }
