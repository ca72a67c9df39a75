"""Whom to kill: the parts of an installation, and the loop that kills one of them at a time."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

import psutil

from bench.chaos.seen import Kill


class Target(Protocol):
    """An installation whose processes may be killed."""

    url: str

    def victims(self) -> Mapping[str, Sequence[psutil.Process]]:
        """The processes that live now, by part."""

    def kill(self, victim: str, process: psutil.Process) -> Kill:
        """End it for good and all, and bring back what nothing else brings back. Raises psutil.NoSuchProcess."""


class Killer:
    """Kills a random process of a random one of the chosen parts, again and again."""

    def __init__(
        self, target: Target, chosen: Sequence[str], *, every_seconds: float, most: int | None, seed: int
    ) -> None:
        """`most`: after so many kills there is peace."""
        self.kills: list[Kill] = []
        #: CPU seconds of those who were killed, by part.
        self.cpu: defaultdict[str, float] = defaultdict(float)
        #: How often a part had no process to kill.
        self.nobody: Counter[str] = Counter()
        self._target = target
        self._chosen = chosen
        self._every_seconds = every_seconds
        self._most = most
        self._chance = random.Random(seed)

    async def run(self) -> None:
        """Kill until cancelled."""
        while self._most is None or len(self.kills) < self._most:
            next_at = time.monotonic() + self._every_seconds
            await asyncio.to_thread(self.kill_one)
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))  # the pace of the killing

    def kill_one(self) -> None:
        """Kill somebody, if anybody is there."""
        victim = self._chance.choice(self._chosen)
        found = self._target.victims().get(victim, ())
        if not found:
            self.nobody[victim] += 1
            return
        process = self._chance.choice(found)
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            kill = self._target.kill(victim, process)
            self.cpu[victim] += times.user + times.system
            self.kills.append(kill)


def command_of(process: psutil.Process) -> str:
    """Its command line; an empty one of a process that has ended."""
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def living(process: psutil.Process) -> bool:
    """Whether it runs; a zombie does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False
