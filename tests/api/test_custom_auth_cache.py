"""How long the API remembers a user that an author's handlers found: as the file says, and no refusal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.requests import HTTPConnection

from relayrun_api.auth.custom import CustomAuth
from relayrun_api.auth.permissions import RequestData
from relayrun_api.http.errors import ApiError, AuthFailed
from relayrun_api.threads.permissions import thread
from relayrun_runner.auth.asks import parse_question
from relayrun_runner.auth.handlers import AuthorAuth
from relayrun_runner.config.environment import prepare_environment
from relayrun_runner.config.load import load_config
from tests.api.authored import named
from tests.runner.processes import write_agent

AUTH = """
from langgraph_sdk import Auth

auth = Auth()
calls = 0

@auth.authenticate
async def who(headers, query_params):
    global calls
    calls += 1
    name = headers.get(b"x-user", b"").decode() or query_params.get("user")
    if not name or name == "nobody":
        raise Auth.exceptions.HTTPException(401, f"no {calls}")
    return {"identity": name, "call": calls}

@auth.on.threads.delete
async def delete(ctx, value):
    return {"team": {"$ne": "red"}} if ctx.user.identity == "wrong" else ctx.user.identity == "root"
"""
READ = thread("read")(RequestData({"thread_id": "t"}))
DELETE = thread("delete")(RequestData({"thread_id": "t"}))


class Here:
    """The handlers, in this process."""

    def __init__(self, auth: AuthorAuth) -> None:
        self._auth = auth
        self.asked: list[Mapping[str, Any]] = []

    async def ask(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(question)
        said = await self._auth.answer(parse_question(orjson.dumps(question)), named)
        answer: dict[str, Any] = orjson.loads(orjson.dumps(said))
        return answer


class Clocked:
    """The API's side, at a time of the test's own."""

    def __init__(self, folder: Path, cache: dict[str, Any] | None) -> None:
        name = f"auth_{folder.name.replace('-', '_')}"
        keys = {} if cache is None else {"cache": cache}
        file = write_agent(folder, "graph = None", auth={"path": f"./{name}.py:auth", **keys})
        (folder / f"{name}.py").write_text(AUTH)
        config = load_config(file)
        prepare_environment(config)
        loaded = AuthorAuth.load(config)
        assert loaded is not None
        self.now = 0.0
        self.handlers = Here(loaded)
        self.auth = CustomAuth(self.handlers, clock=lambda: self.now)

    async def call(self, user: str | None = None, query: str = "", **headers: str) -> int:
        """Which call of the handler found this user."""
        sent = {**({} if user is None else {"x-user": user}), **headers}
        principal = await self.auth.admit(connection(sent, query), READ)
        assert principal.user is not None
        number: int = principal.user["call"]
        return number


def connection(headers: Mapping[str, str], query: str = "") -> HTTPConnection:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "scheme": "http",
        "query_string": query.encode(),
        "headers": raw,
    }
    return HTTPConnection(scope)


async def test_without_a_cache_every_request_is_asked_about(tmp_path: Path) -> None:
    clocked = Clocked(tmp_path, None)
    assert [await clocked.call("anna") for _ in range(3)] == [1, 2, 3]


async def test_a_user_is_remembered_for_so_long_and_by_what_the_file_says(tmp_path: Path) -> None:
    clocked = Clocked(tmp_path, {"cache_keys": ["X-User", "team"], "ttl_seconds": 10})
    assert [await clocked.call("anna") for _ in range(2)] == [1, 1]
    assert [await clocked.call("bert"), await clocked.call("bert"), await clocked.call("anna")] == [2, 2, 1]
    # Of the query too; and what is not named says nothing.
    assert [await clocked.call("anna", "team=red"), await clocked.call("anna", "team=red&x=1")] == [3, 3]
    assert await clocked.call("anna", other="x") == 1
    clocked.now = 9.9
    assert await clocked.call("anna") == 1
    clocked.now = 10.0
    assert await clocked.call("anna") == 4


async def test_who_sends_none_of_the_keys_is_not_remembered(tmp_path: Path) -> None:
    clocked = Clocked(tmp_path, {"cache_keys": ["authorization"], "ttl_seconds": 10})
    assert [await clocked.call("anna"), await clocked.call("bert")] == [1, 2]


async def test_a_query_does_not_stand_for_a_header(tmp_path: Path) -> None:
    clocked = Clocked(tmp_path, {"cache_keys": ["x-user"], "ttl_seconds": 10})
    assert await clocked.call("anna") == 1
    for query in ("x-user=anna", "X-User=anna&x-user=anna"):
        with pytest.raises(ApiError, match="no "):
            await clocked.call(None, query)
    assert await clocked.call("anna") == 1


async def test_a_refusal_is_not_remembered(tmp_path: Path) -> None:
    clocked = Clocked(tmp_path, {"cache_keys": ["x-user"], "ttl_seconds": 10})
    for number in (1, 2):
        with pytest.raises(ApiError, match=f"no {number}"):
            await clocked.call("nobody")


async def test_only_so_many_are_remembered(tmp_path: Path) -> None:
    clocked = Clocked(tmp_path, {"cache_keys": ["x-user"], "ttl_seconds": 10, "max_size": 2})
    assert [await clocked.call(name) for name in ("a", "b", "c", "c", "b", "a")] == [1, 2, 3, 3, 2, 4]


async def test_what_a_remembered_user_may_is_asked_each_time_and_only_where_a_handler_is_about_it(
    tmp_path: Path,
) -> None:
    clocked = Clocked(tmp_path, {"cache_keys": ["x-user"], "ttl_seconds": 10})
    root, anna = connection({"x-user": "root"}), connection({"x-user": "anna"})
    assert (await clocked.auth.admit(root, DELETE)).scope("threads").any_owner
    assert (await clocked.auth.admit(root, DELETE)).scope("threads").any_owner
    with pytest.raises(ApiError) as refused:
        await clocked.auth.admit(anna, DELETE)
    assert refused.value.status == 403
    assert ["connection" in question for question in clocked.handlers.asked] == [True, False, True]
    # No handler is about reading: what one owns is what one sees, and nobody has to be asked.
    scope = (await clocked.auth.admit(anna, READ)).scope("threads")
    assert (scope.covers("anna", {}), scope.covers("root", {})) == (True, False)
    assert len(clocked.handlers.asked) == 3


async def test_a_filter_that_is_none_lets_nobody_through(tmp_path: Path) -> None:
    clocked = Clocked(tmp_path, None)
    with pytest.raises(AuthFailed, match="invalid filter"):
        await clocked.auth.admit(connection({"x-user": "wrong"}), DELETE)


@pytest.mark.parametrize("answer", [{}, {"user": {"identity": ""}}, {"user": {"identity": "a"}, "decisions": []}])
async def test_an_answer_that_is_not_understood_lets_nobody_through(answer: dict[str, Any]) -> None:
    class Odd:
        async def ask(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
            return answer

    with pytest.raises(AuthFailed):
        await CustomAuth(Odd()).admit(connection({}), READ)
