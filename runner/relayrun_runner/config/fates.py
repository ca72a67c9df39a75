"""The fate of every key of LangGraph's `langgraph.json`: read, build only, ignored or refused. Pure data.

The keys are those of langgraph-cli 0.4; a key that is not here is unknown, and the nearest known one is named.
"""

import difflib
from collections.abc import Iterable

#: Keys that do what they do in the LangGraph Agent Server.
WORKS = frozenset({"$schema", "dependencies", "graphs", "env", "store", "checkpointer", "auth", "http"})

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

#: Keys without effect here, each with what to do instead; a warning when the file is loaded.
IGNORED = {
    "http.cors.allow_methods": "origins that may call may use every method",
    "http.cors.allow_headers": "origins that may call may send every header",
    "http.cors.allow_credentials": "cookies do not authenticate a caller: let the page send its token itself",
    "http.logging_headers": "Relayrun does not log headers of requests",
    "http.middleware_order": "the app's middleware applies to its own routes only, and runs after authentication",
    "http.disable_ui": "Relayrun does not serve generative UI components; RELAYRUN_CONSOLE=false turns off the console",
    "node_version": "Relayrun runs Python graphs",
    "ui": "Relayrun does not serve generative UI components",
    "ui_config": "Relayrun does not serve generative UI components",
    "webhooks": "configure webhooks in the API's settings",
    "priority": "the runs of a thread execute in the order in which they were accepted",
    "auth.openapi": "the OpenAPI document does not describe security schemes of your own",
    "checkpointer.ttl": "a setting of the API says how long to keep threads: RELAYRUN_THREAD_TTL_MINUTES",
    "project_root": "use source.root instead",
    "package": "use source.package instead",
}

#: Keys that would break a promise if they were ignored.
REFUSED = {
    "encryption": "Relayrun would store the state unencrypted; remove the key, and encrypt the database's disk instead",
    "checkpointer.path": (
        "a custom checkpointer has no fence, so a run could execute twice at once after a crash; remove the key:"
        " Relayrun stores checkpoints in its own Postgres"
    ),
}

JAVASCRIPT = (".ts", ".mts", ".cts", ".js", ".mjs", ".cjs")

_STORE = ("index", "ttl")
_INDEX = ("dims", "embed", "fields", "ann_index_config", "distance_type")
_TTL = ("refresh_on_read", "default_ttl", "sweep_interval_minutes", "omit_expired")
_CHECKPOINTER = ("path", "ttl", "serde")
_AUTH = ("path", "disable_studio_auth", "cache", "openapi")
_AUTH_CACHE = ("cache_keys", "ttl_seconds", "max_size")
_SERDE = ("allowed_json_modules", "allowed_msgpack_modules", "pickle_fallback")
_HTTP = (
    "app",
    "enable_custom_route_auth",
    "cors",
    "configurable_headers",
    "logging_headers",
    "middleware_order",
    "mount_prefix",
    *(f"disable_{part}" for part in ("assistants", "threads", "runs", "store", "meta", "webhooks", "mcp", "a2a", "ui")),
)
_CORS = (
    "allow_origins",
    "allow_origin_regex",
    "expose_headers",
    "max_age",
    "allow_methods",
    "allow_headers",
    "allow_credentials",
)

#: The known keys below a key that works.
NESTED = {
    "store": _STORE,
    "store.index": _INDEX,
    "store.ttl": _TTL,
    "checkpointer": _CHECKPOINTER,
    "checkpointer.serde": _SERDE,
    "http": _HTTP,
    "http.cors": _CORS,
    "http.configurable_headers": ("includes", "excludes"),
    "auth": _AUTH,
    "auth.cache": _AUTH_CACHE,
}


def top_level_keys() -> frozenset[str]:
    """Every top-level key that has a fate."""
    single = {key for key in (*IGNORED, *REFUSED) if "." not in key}
    return WORKS | BUILD_ONLY | single


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The sentence about a key that LangGraph's format does not have."""
    near = difflib.get_close_matches(key, sorted(known), n=1)
    return f"unknown key {key!r}: did you mean {near[0]!r}?" if near else f"unknown key {key!r}, ignored"
