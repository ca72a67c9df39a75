"""The settings and environment of the API and the runners in `relayrun dev`. Pure."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from relayrun_cli.dev.options import DevOptions
from relayrun_cli.dev.starting import runner_command
from relayrun_core.process.secrets import without_secrets
from relayrun_operator.local.settings import LocalWorldSettings
from relayrun_runner.config.model import CorsConfig, HttpConfig

RUNNERS_FILE = "runners.json"
DEFAULT_ORIGIN = "http://localhost:3000"
# No browser remembers for longer.
_A_DAY_SECONDS = 86400


def api_environment(options: DevOptions, port: int, http: HttpConfig | None = None) -> dict[str, str]:
    """The API's environment: ours, and its settings, to which `http` of langgraph.json adds."""
    http = http or HttpConfig()
    cors = http.cors or CorsConfig()
    studio = urlsplit(options.studio_url)
    origins = [DEFAULT_ORIGIN, f"{studio.scheme}://{studio.netloc}", *options.cors_origins, *cors.allow_origins]
    return {
        **without_secrets(os.environ),
        "RELAYRUN_HOST": options.host,
        "RELAYRUN_PORT": str(port),
        "RELAYRUN_WORLD": "local",
        "RELAYRUN_AUTH": options.auth or "none",
        "RELAYRUN_AUTH_AGENT": LocalWorldSettings.agent,
        "RELAYRUN_RUNNERS_FILE": str(options.data / RUNNERS_FILE),
        "RELAYRUN_CORS_ORIGINS": json.dumps(origins),
        "RELAYRUN_CORS_ALLOW_LOCALHOST": "true",
        **_further_cors(cors),
        "RELAYRUN_DISABLE": json.dumps(http.disabled),
        "RELAYRUN_MOUNT_PREFIX": http.mount_prefix,
        "RELAYRUN_LOG_LEVEL": options.log_level,
        "PYTHONUNBUFFERED": "1",
    }


def api_secrets(given: Mapping[str, str], database_url: str, token: str) -> dict[str, str]:
    """What the API is handed beside its environment; `given`: the secrets of ours."""
    own = {name: given[name] for name in ("RELAYRUN_JWT_SECRET", "RELAYRUN_WEBHOOK_SECRET") if name in given}
    return {**own, "RELAYRUN_DATABASE_URL": database_url, "RELAYRUN_RUNNER_TOKEN": token}


def _further_cors(cors: CorsConfig) -> dict[str, str]:
    said = {"RELAYRUN_CORS_EXPOSE_HEADERS": json.dumps(cors.expose_headers)} if cors.expose_headers else {}
    if cors.allow_origin_regex is not None:
        said["RELAYRUN_CORS_ORIGIN_REGEX"] = cors.allow_origin_regex.pattern
    if cors.max_age is not None:
        said["RELAYRUN_CORS_MAX_AGE_SECONDS"] = str(min(cors.max_age, _A_DAY_SECONDS))
    return said


def world_settings(options: DevOptions, folder: Path, token: str, build: str, api_url: str) -> LocalWorldSettings:
    """The local world of these options; the agent's paths start in `folder`."""
    return LocalWorldSettings(
        config_path=options.config,
        token=token,
        runners_file=options.data / RUNNERS_FILE,
        runners=options.runners,
        slots=options.slots,
        build=build,
        debugging=options.debug_port is not None,
        command=runner_command(options),
        preload=options.preload,
        environment={
            "RELAYRUN_LOG_LEVEL": options.log_level,
            "RELAYRUN_API_URL": api_url,
            "RELAYRUN_ALLOW_BLOCKING": str(options.allow_blocking).lower(),
            "RELAYRUN_IN_DEV": "true",
        },
        working_folder=folder,
    )
