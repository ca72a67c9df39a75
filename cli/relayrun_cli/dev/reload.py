"""Reload: when the agent's code changed, new runners load it, and only then the old ones drain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from relayrun_cli.dev.banner import Screen
from relayrun_cli.dev.changes import Sources
from relayrun_runner.config.load import load_config
from relayrun_runner.errors import ConfigError


class Reloadable(Protocol):
    """What can take new code: the local world."""

    @property
    def serving(self) -> bool:
        """Whether any code takes runs."""

    async def reload(self, build: str | None = None) -> str | None:
        """Load the code anew; returns why that failed, None if it did not."""


class Reloader:
    """Watches the sources and tells the world."""

    def __init__(
        self,
        config: Path,
        sources: Sources,
        build: str,
        world: Reloadable,
        screen: Screen,
        *,
        has_auth: bool = False,
    ) -> None:
        """`has_auth`: the API, which is not reloaded, was told that langgraph.json has `auth`."""
        self._config = config
        self._sources = sources
        self._build = build
        self._world = world
        self._screen = screen
        self._has_auth = has_auth

    async def run(self) -> None:
        """Reload at every change of what the sources amount to, until cancelled."""
        try:
            async for files in self._sources.changes():
                await self._changed(files)
        except OSError as error:
            # Mostly: the system's limit of watched files.
            self._screen.warn(
                f"Relayrun cannot watch the code for changes ({error}): restart relayrun dev after a change."
            )

    async def _changed(self, files: Iterable[Path]) -> None:
        build = await asyncio.to_thread(self._sources.hash)
        if build == self._build:
            return
        self._build = build
        names = ", ".join(sorted({file.name for file in files})[:3])
        try:
            config = load_config(self._config)
        except ConfigError as error:
            self._screen.warn(f"{error}. The old code keeps running.")
            return
        if (config.auth is not None) != self._has_auth:
            self._screen.warn(
                "langgraph.json got or lost `auth`: restart relayrun dev. Until then, the old code keeps running."
            )
            return
        self._screen.say(f"{names} changed: loading the new code.")
        problem = await self._world.reload(build)
        if problem is None:
            self._screen.say("The new code runs.")
        else:
            old = "The old code keeps running" if self._world.serving else "No code runs"
            self._screen.warn(f"The new code does not load: {problem}. {old}; the fixed code is loaded automatically.")
