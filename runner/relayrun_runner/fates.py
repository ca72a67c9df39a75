"""What becomes of every key of LangGraph's `langgraph.json`: read, build only, ignored or refused. Pure data.

The keys are those of langgraph-cli 0.4; a key that is not here is unknown, and the nearest known one is named.
"""

import difflib
from collections.abc import Iterable

#: Keys that do what they do in the LangGraph Agent Server.
WORKS = frozenset({"$schema", "dependencies", "graphs", "env", "store", "checkpointer"})

#: Keys that `relayrun build` reads and a running process does not.
BUILD_ONLY = frozenset(
    {
        "python_version",
        "api_version",
        "base_image",
        "image_distro",
        "pip_config_file",
        "pip_installer",
        "source",
        "dockerfile_lines",
        "keep_pkg_tools",
        "_INTERNAL_docker_tag",
    }
)

#: Keys without effect here, each with what to do instead; said once, when the file is loaded.
IGNORED = {
    "auth": "this handler is not called; Relayrun checks JWTs or API keys itself (RELAYRUN_AUTH)",
    "http": "custom routes and CORS are settings of the API (RELAYRUN_CORS_ORIGINS)",
    "ui": "generative UI components are not served",
    "ui_config": "generative UI components are not served",
    "webhooks": "webhooks are settings of the API",
    "priority": "runs of a thread are served in their order; there are no priorities",
    "checkpointer.ttl": "how long threads are kept is a setting of the API",
    "project_root": "write source.root",
    "package": "write source.package",
}

#: Keys that would break a promise if they were ignored.
REFUSED = {
    "node_version": "Relayrun runs Python graphs; remove node_version and the JavaScript graphs",
    "encryption": "state would be stored unencrypted; remove the key and encrypt the database's disk instead",
    "checkpointer.path": (
        "a custom checkpointer has no fence, so a crashed run could be executed twice at once; remove it:"
        " Relayrun keeps checkpoints in its own Postgres"
    ),
}

JAVASCRIPT = (".ts", ".mts", ".cts", ".js", ".mjs", ".cjs")

_STORE = ("index", "ttl")
_INDEX = ("dims", "embed", "fields", "ann_index_config", "distance_type")
_TTL = ("refresh_on_read", "default_ttl", "sweep_interval_minutes", "omit_expired")
_CHECKPOINTER = ("path", "ttl", "serde")
_SERDE = ("allowed_json_modules", "allowed_msgpack_modules", "pickle_fallback")

#: The known keys below a key that works.
NESTED = {
    "store": _STORE,
    "store.index": _INDEX,
    "store.ttl": _TTL,
    "checkpointer": _CHECKPOINTER,
    "checkpointer.serde": _SERDE,
}


def top_level_keys() -> frozenset[str]:
    """Every top-level key that has a fate."""
    single = {key for key in (*IGNORED, *REFUSED) if "." not in key}
    return WORKS | BUILD_ONLY | single


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The sentence about a key that LangGraph's format does not have."""
    near = difflib.get_close_matches(key, sorted(known), n=1)
    return f"unknown key {key!r}: did you mean {near[0]!r}?" if near else f"unknown key {key!r}, ignored"
