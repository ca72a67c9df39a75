"""The options of `relayrun dev`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_PORT = 8000
DATA_FOLDER = ".relayrun"
STUDIO_URL = "https://smith.langchain.com"


@dataclass(frozen=True)
class DevOptions:
    """The flags of `relayrun dev`. `port` is None where none was asked for."""

    config: Path
    host: str = "127.0.0.1"
    port: int | None = None
    reload: bool = True
    slots: int = 10
    browser: bool = True
    debug_port: int | None = None
    wait_for_client: bool = False
    studio_url: str = STUDIO_URL
    allow_blocking: bool = False
    log_level: str = "info"
    runners: int = 2
    #: Modules that are safe to import before runners are forked.
    preload: tuple[str, ...] = ()
    data: Path = Path(DATA_FOLDER)
    cors_origins: tuple[str, ...] = ()
    #: How callers prove who they are, as RELAYRUN_AUTH says it; None: as langgraph.json does, or everybody may call.
    auth: str | None = None
