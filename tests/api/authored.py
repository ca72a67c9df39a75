"""An agent with authentication of its own (`tests/data/agents/guarded`), a real runner that has it, an API in front."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid5

import orjson

from relayrun_api.crons.firing import CronTimer
from relayrun_api.settings import ApiSettings
from tests.api.access import bearer
from tests.api.conftest import Api, opened
from tests.support.runner import TOKEN, Runner, RunnerSetup

#: Not those that `opened` registers, which nobody executes.
_GRAPHS = ["whoami"]


def as_name(name: str, wish: str = "") -> dict[str, str]:
    """As the agent's handler takes it."""
    return bearer(f"{name} {wish}".strip())


@dataclass(frozen=True)
class Authored:
    """The API, its runner, and the file that lists it."""

    api: Api
    runner: Runner
    listed: Path

    def list(self, *runners: Runner) -> None:
        """These are up, and no others."""
        entries = [{"name": one.name, "url": one.url, "agent": "default", "graphs": _GRAPHS} for one in runners]
        self.listed.write_bytes(orjson.dumps(entries))

    async def ask(self, method: str, path: str, name: str, body: Any = None) -> Any:
        """What one caller is answered, which has to be a success."""
        answer = await self.api.http.request(method, path, json=body, headers=as_name(name))
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def status(self, method: str, path: str, name: str, body: Any = None) -> int:
        """The status that one caller gets; of a stream, that of its start."""
        async with self.api.http.stream(method, path, json=body, headers=as_name(name)) as answer:
            return answer.status_code

    async def executed(self, run_id: str, attempt: int = 1) -> None:
        """Have the runner execute a run, to its end."""
        assert (await self.runner.put(UUID(run_id), attempt, excused=attempt > 1)).status_code == 202
        await self.runner.reported(UUID(run_id), attempt, "Finished")

    async def run(self, name: str, path: str = "/runs", **more: Any) -> dict[str, Any]:
        """A run that one caller starts, executed."""
        body = {"assistant_id": "whoami", "input": {"messages": "hi"}, **more}
        run: dict[str, Any] = await self.ask("POST", path, name, body)
        await self.executed(run["run_id"])
        return run


@asynccontextmanager
async def authored(
    database_url: str, folder: Path, config: Path | None = None, **settings: Any
) -> AsyncIterator[Authored]:
    """With the agent of `config` in place of the one that asks for everything."""
    # Of one build with the graphs that `opened` registers: the newest says what an agent offers.
    more = {"RELAYRUN_BUILD": "1", **({} if config is None else {"RELAYRUN_CONFIG_PATH": str(config)})}
    setup = RunnerSetup(database_url, folder, "guarded", more)
    listed = folder / "runners.json"
    said: dict[str, Any] = {"auth": "custom", "crons_per_owner": 0, **settings}
    async with (
        Runner(setup, f"runner-{folder.name}") as runner,
        opened(ApiSettings(database_url=database_url, runners_file=listed, runner_token=TOKEN, **said)) as api,
    ):
        place = Authored(api, runner, listed)
        place.list(runner)
        yield place


async def named(owner: str, names: Sequence[str]) -> Sequence[UUID]:
    """Which threads a user's names mean, without a database."""
    return [uuid5(NAMESPACE_DNS, f"{owner} {name}") for name in names]


def timer_of(api: Api) -> CronTimer:
    """What fires crons, to be asked for it at once."""
    services = api.app.state.services
    return CronTimer(services.database, services.crons, services.runs, services.metrics)
