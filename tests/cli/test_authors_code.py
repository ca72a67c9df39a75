"""`relayrun dev` and what an author brings beside graphs, routes and handlers: loaded anew, and back after a crash."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from relayrun_api.console import is_built
from tests.cli.dev_process import Project, running_dev
from tests.support.postgres import scratch_folder
from tests.support.waiting import until, until_it_is

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(240)]

WEB = """
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

WORD = "one"

async def word(request):
    return JSONResponse([WORD, request.user.identity])

app = Starlette(routes=[Route("/word", word)])
"""

AUTH = """
from langgraph_sdk import Auth

auth = Auth()

@auth.authenticate
async def authenticate(authorization: str | None) -> str:
    if authorization != "Bearer one":
        raise Auth.exceptions.HTTPException(401, "Say the word")
    return "ali"

@auth.on.threads.create
async def create(ctx, value):
    value.setdefault("metadata", {})["word"] = "one"
"""


@pytest.fixture
async def project() -> AsyncIterator[Project]:
    async with scratch_folder("authors") as folder:
        made = Project(folder)
        (folder / "web.py").write_text(WEB)
        (folder / "auth.py").write_text(AUTH)
        file = folder / "langgraph.json"
        more = {"http": {"app": "./web.py:app"}, "auth": {"path": "./auth.py:auth"}}
        file.write_text(json.dumps({**json.loads(file.read_text()), **more}))
        yield made


async def test_routes_and_handlers_are_those_of_the_newest_code_also_after_kill_9(
    project: Project, database_url: str
) -> None:
    async with (
        running_dev(project, environment={"DATABASE_URL": database_url}) as dev,
        httpx.AsyncClient(base_url=dev.url, timeout=20) as client,
    ):

        async def told(token: str) -> list[object]:
            """What the route answers, and what the handler writes; the status of what is refused."""
            headers = {"Authorization": f"Bearer {token}"}
            route = await client.get("/word", headers=headers)
            thread = await client.post("/threads", json={}, headers=headers)
            return [
                route.json() if route.is_success else route.status_code,
                thread.json()["metadata"]["word"] if thread.is_success else thread.status_code,
            ]

        async def newest() -> bool:
            return (await told("one"), await told("two")) == ([401, 401], [["two", "ali"], "two"])

        # For the app may have /console.
        await dev.wait_for("/relayrun/console " if is_built() else "Console ")
        assert await told("one") == [["one", "ali"], "one"]
        assert await told("two") == [401, 401]
        for file, code in (("web.py", WEB), ("auth.py", AUTH)):
            (project.folder / file).write_text(code.replace('one"', 'two"'))
        await until_it_is(newest)
        await until(lambda: len(dev.part("relayrun_runner")) == 1)
        (runner,) = dev.part("relayrun_runner")
        runner.kill()
        while not await newest():
            # Without one that could say who calls nobody is let in.
            assert set(await told("one")) <= {401, 502, 503}
        assert runner not in dev.part("relayrun_runner")
