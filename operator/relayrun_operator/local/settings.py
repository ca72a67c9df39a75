"""The settings of the local world, from `relayrun dev` or a test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relayrun_operator.engine import LOST_AFTER_SECONDS


@dataclass(frozen=True)
class LocalWorldSettings:
    """How many runners to keep, and how to start them. Durations are in seconds."""

    config_path: Path
    #: The runners' bearer token: whoever knows it may run anything.
    token: str = field(repr=False)
    #: Where the API finds the runners; None: nobody reads it.
    runners_file: Path | None = None
    agent: str = "default"
    host: str = "127.0.0.1"
    runners: int = 2
    slots: int = 10
    #: Names the code that the first runners load; `reload` may name another.
    build: str = ""
    #: Under a debugger a runner is silent while somebody reads: there is one, and silence never loses it.
    debugging: bool = False
    #: A runner that says nothing for so long is lost; it says something every 2 s at least.
    lost_after_seconds: float = LOST_AFTER_SECONDS
    #: After a SIGTERM a runner gets this long before it is killed.
    drain_seconds: float = 60.0
    #: The same when the whole world stops.
    stop_seconds: float = 10.0
    #: How runners are started; None: forked from a process that has imported their modules, where that can be.
    command: tuple[str, ...] | None = None
    #: Further modules to import before the fork, which the user says are safe.
    preload: tuple[str, ...] = ()
    #: For the runners' environment, beside what the protocol needs.
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    working_folder: Path | None = None
