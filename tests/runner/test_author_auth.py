"""An author's `Auth`: how it is loaded, what its handlers are given, what comes of what they return and raise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import orjson
import pytest

from relayrun_runner.auth import handlers as author_auth
from relayrun_runner.auth.asks import AuthAnswer, parse_question
from relayrun_runner.auth.handlers import AuthorAuth
from relayrun_runner.auth.users import User, user_of
from relayrun_runner.config.environment import prepare_environment
from relayrun_runner.config.load import load_config
from relayrun_runner.errors import AuthFailed, AuthLoadError, ConfigError
from tests.api.authored import named
from tests.runner.processes import write_agent

HEAD = """
from __future__ import annotations
import asyncio, time
from typing import Any
from langgraph_sdk import Auth
auth = Auth()
seen: list[Any] = []
"""
GRAPH = "graph = None"


def load(folder: Path, code: str, **keys: Any) -> AuthorAuth:
    # A name of its own: modules stay loaded.
    name = f"auth_{folder.name.replace('-', '_')}"
    file = write_agent(folder, GRAPH, auth={"path": f"./{name}.py:auth", **keys})
    (folder / f"{name}.py").write_text(HEAD + dedent(code))
    config = load_config(file)
    prepare_environment(config)
    loaded = AuthorAuth.load(config)
    assert loaded is not None
    return loaded


def connection(**more: Any) -> dict[str, Any]:
    return {
        "method": "POST",
        "path": "/threads/x",
        "query": "a=1&b=%C3%A9",
        "path_params": {"thread_id": "x"},
        "headers": [("authorization", "Bearer t"), ("x-odd", "\xff")],
        "client": ("10.0.0.1", 5),
        **more,
    }


async def ask(auth: AuthorAuth, *asks: tuple[str, str, dict[str, Any]], **question: Any) -> AuthAnswer:
    listed = [{"resource": resource, "action": action, "value": value} for resource, action, value in asks]
    body = {"asks": listed, **(question or {"connection": connection()})}
    return await auth.answer(parse_question(orjson.dumps(body)), named)


async def test_a_handler_is_given_what_it_names(tmp_path: Path) -> None:
    auth = load(
        tmp_path,
        """
        @auth.authenticate
        async def who(request, path, method, path_params, query_params, headers, authorization, scope, other=5):
            assert (path, method, path_params) == ("/threads/x", "POST", {"thread_id": "x"})
            assert dict(query_params) == {"a": "1", "b": "é"}
            assert headers == {b"authorization": b"Bearer t", b"x-odd": bytes([255])}
            assert (authorization, request.headers["authorization"]) == ("Bearer t", "Bearer t")
            assert (scope["type"], scope["client"], request.client.host) == ("http", ("10.0.0.1", 5), "10.0.0.1")
            assert request.url.path == path and other == 5
            return "me"
        """,
    )
    answer = await ask(auth)
    assert answer.refused is None
    assert answer.user == {"identity": "me", "display_name": "me", "is_authenticated": True, "permissions": []}
    assert (answer.handlers, answer.cache) == ([], None)


async def test_a_handler_need_not_be_async(tmp_path: Path) -> None:
    auth = load(tmp_path, "@auth.authenticate\ndef who(authorization):\n    return authorization")
    assert (await ask(auth)).user["identity"] == "Bearer t"  # type: ignore[index]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("", "has no handler: write one below @auth.authenticate"),
        ("@auth.authenticate\nasync def who(body): ...", "'body', which it does not get: it runs before the body"),
        ("@auth.authenticate\nasync def who(token): ...", "'token', which it does not get: it can have authorization"),
        ("auth = 5", "is a int, and not an Auth"),
        ("del auth", "did not load: .*has no 'auth'"),
        ("raise RuntimeError('no such key')", "did not load: RuntimeError: no such key"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_when_it_is_loaded(tmp_path: Path, code: str, sentence: str) -> None:
    with pytest.raises(AuthLoadError, match=sentence):
        load(tmp_path, code)


@pytest.mark.parametrize(
    ("auth", "sentence"),
    [
        ({"disable_studio_auth": True}, "has no `path`"),
        ({"path": "auth.py"}, "does not name an object"),
        ({"path": "./auth.ts:auth"}, "is JavaScript"),
        ({"path": "./auth.py:auth", "cache": {"cache_keys": ["a"], "ttl_seconds": 0}}, "auth.cache.ttl_seconds"),
    ],
)
def test_a_file_that_names_no_handlers_is_refused(tmp_path: Path, auth: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_config(write_agent(tmp_path, GRAPH, auth=auth))


@dataclass
class Person:
    identity: str
    team: str = "red"

    @property
    def permissions(self) -> tuple[str, ...]:
        return ("read",)


class Loose:
    def __init__(self) -> None:
        self.identity = "loose"
        self.team = "red"
        self._hidden = 1


@pytest.mark.parametrize(
    ("returned", "members"),
    [
        ("anna", {}),
        ({"identity": "anna", "team": {"red": 1}, "permissions": None}, {"team": {"red": 1}}),
        (Person("anna"), {"team": "red", "permissions": ["read"]}),
        ((["a", "b"], "anna"), {"permissions": ["a", "b"]}),
        ({"identity": "anna", "is_authenticated": False, "display_name": "A."}, None),
    ],
)
def test_a_user_may_have_many_forms(returned: Any, members: dict[str, Any] | None) -> None:
    plain = {"identity": "anna", "display_name": "anna", "is_authenticated": True, "permissions": []}
    expected = (
        {**plain, **members} if members is not None else {**plain, "is_authenticated": False, "display_name": "A."}
    )
    assert user_of(returned).dict() == expected


def test_a_user_has_its_members_as_attributes_and_keys() -> None:
    user = user_of(Loose())
    assert (user.team, user["team"], user.get("none"), "team" in user) == ("red", "red", None, True)
    assert set(user) == {"identity", "team", "display_name", "is_authenticated", "permissions"}
    assert repr(user) == "User('loose')"
    with pytest.raises(AttributeError, match="no 'other'"):
        _ = user.other


@pytest.mark.parametrize(
    "returned",
    [
        None,
        {},
        {"identity": 5},
        {"identity": ""},
        {"identity": "a\0"},
        "a" * 1025,
        {"identity": "a", "permissions": "x"},
    ],
)
def test_who_has_no_identity_is_no_user(returned: Any) -> None:
    with pytest.raises(AuthFailed):
        user_of(returned)


def test_a_user_that_is_too_large_is_refused() -> None:
    with pytest.raises(AuthFailed, match="return less"):
        user_of({"identity": "a", "text": "x" * 70_000})


ON = """
@auth.authenticate
async def who(): return "me"

@auth.on
async def anything(ctx, value): value["by"] = "anything"

@auth.on.threads
async def threads(ctx, value): value["by"] = "threads"; return {"owner": ctx.user.identity}

@auth.on(actions="delete")
async def deleting(ctx, value): return False

@auth.on.threads.create
async def creating(ctx, value): seen.append(value["thread_id"]); return True

@auth.on.crons.create
async def cron(ctx, value): assert value["user_id"] == "me" and value["end_time"].year == 2030, value

@auth.on.assistants.read
async def odd(ctx, value): return "yes"

@auth.on.assistants.create
async def unwritable(ctx, value): value["x"] = {1: object, (1,): b""}

@auth.on.assistants.search
async def own(ctx, value): raise Auth.exceptions.HTTPException(status_code=409, detail="not now")
"""


async def test_the_most_specific_handler_decides(tmp_path: Path) -> None:
    auth = load(tmp_path, ON)
    answer = await ask(
        auth,
        ("threads", "create", {"thread_id": "diary"}),
        ("threads", "read", {"thread_id": "diary"}),
        ("threads", "delete", {}),
        ("store", "put", {"namespace": ["a"]}),
        ("crons", "create", {"user_id": None, "end_time": "2030-01-01T00:00:00Z"}),
    )
    assert answer.refused is None
    assert [decision.filter for decision in answer.decisions] == [None, {"owner": "me"}, {"owner": "me"}, None, None]
    assert all(decision.matched for decision in answer.decisions)
    created, read, _, put, cron = (decision.value for decision in answer.decisions)
    assert (created, cron) == (None, None)  # they changed nothing
    assert read == {"thread_id": str(uuid5(NAMESPACE_DNS, "me diary")), "by": "threads"}
    assert put == {"namespace": ["a"], "by": "anything"}


@pytest.mark.parametrize(
    ("resource", "action", "status", "detail"),
    [
        ("store", "delete", 403, "You may not delete store here."),
        ("assistants", "search", 409, "not now"),
        ("assistants", "read", 500, "Authorization failed"),
        ("assistants", "create", 500, "Authorization failed"),
    ],
)
async def test_a_handler_that_refuses_or_fails_lets_nobody_through(
    tmp_path: Path, resource: str, action: str, status: int, detail: str
) -> None:
    answer = await ask(load(tmp_path, ON), (resource, action, {}))
    assert answer.refused is not None
    assert (answer.refused.status, answer.refused.failed, answer.decisions) == (status, status == 500, [])
    assert answer.refused.detail.startswith(detail)


async def test_a_resource_that_no_handler_is_about_is_said_to_have_none(tmp_path: Path) -> None:
    code = "@auth.authenticate\nasync def who(): return 'me'\n@auth.on.store\nasync def s(ctx, value): return None\n"
    answer = await ask(load(tmp_path, code), ("threads", "read", {}), ("store", "get", {}))
    assert [decision.matched for decision in answer.decisions] == [False, True]
    assert answer.handlers == ["store.*"]


async def test_a_user_that_is_known_is_not_asked_who_it_is(tmp_path: Path) -> None:
    code = """
    @auth.authenticate
    async def who(): raise RuntimeError

    @auth.on
    async def anything(ctx, value): return {"o": ctx.user.team}
    """
    user = {"identity": "anna", "team": "red"}
    answer = await ask(load(tmp_path, code), ("threads", "read", {}), user=user, connection=None)
    assert answer.decisions[0].filter == {"o": "red"}


@pytest.mark.parametrize("wait", ["await asyncio.sleep(5)", "time.sleep(1)"])
async def test_a_handler_that_is_too_slow_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: str
) -> None:
    monkeypatch.setattr(author_auth, "LIMIT_SECONDS", 0.1)
    monkeypatch.setattr(author_auth, "_BLOCKED_SECONDS", 0.1)
    auth = load(tmp_path, f"@auth.authenticate\nasync def who():\n    {wait}\n    return 'me'")
    refused = (await ask(auth)).refused
    assert refused is not None
    assert (refused.status, refused.failed, refused.headers) == (503, True, {"Retry-After": "1"})


async def test_how_long_users_may_be_remembered_is_told(tmp_path: Path) -> None:
    code = "@auth.authenticate\nasync def who(): return 'me'"
    auth = load(tmp_path, code, cache={"cache_keys": ["Authorization"], "ttl_seconds": 5, "max_size": 7})
    cache = (await ask(auth)).cache
    assert cache is not None
    assert (cache.keys, cache.ttl_seconds, cache.max_size) == (["Authorization"], 5, 7)


def test_users_survive_being_copied() -> None:
    import copy
    import pickle

    user = User({"identity": "anna", "display_name": "Anna", "is_authenticated": True, "permissions": []})
    assert copy.deepcopy(user).dict() == pickle.loads(pickle.dumps(user)).dict() == user.dict()
