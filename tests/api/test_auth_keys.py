"""API keys: as `langgraph-sdk` sends them and as a bearer's; revoked, expired, and never kept in plain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.errors import AuthenticationError

from relayrun_api.auth.keys import REMEMBERED_SECONDS, KeyRing
from relayrun_api.http.errors import Unauthenticated
from relayrun_api.settings import ApiSettings
from relayrun_core.db.keys import PREFIX, create_key, list_keys, revoke_key
from tests.api.access import HS256, as_user, bearer, token
from tests.api.conftest import Api, opened
from tests.api.test_refusals import check_problem


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    return settings.model_copy(update={"auth": ["api-key"]})


async def test_the_sdks_key_makes_its_owner_the_owner(api: Api) -> None:
    text, _ = await create_key(api.database, "alice", name="laptop")
    sdk = get_client(url=api.url, api_key=text)
    thread = await sdk.threads.create()
    await sdk.aclose()
    row = await api.database.fetch_one("SELECT owner FROM threads WHERE thread_id = %s", (thread["thread_id"],))
    assert row == {"owner": "alice"}
    same = await api.http.get(f"/threads/{thread['thread_id']}", headers=bearer(text))
    assert same.status_code == 200
    other, _ = await create_key(api.database, "bob")
    assert (await api.http.get(f"/threads/{thread['thread_id']}", headers=bearer(other))).status_code == 404
    admin, _ = await create_key(api.database, "root", admin=True)
    assert (await api.http.get(f"/threads/{thread['thread_id']}", headers=bearer(admin))).status_code == 200


async def test_admins_make_list_and_revoke_keys(api: Api) -> None:
    admin, _ = await create_key(api.database, "root", admin=True)
    made = await api.http.post(
        "/keys", json={"owner": "shop", "name": "backend", "expires_in_days": 1}, headers=bearer(admin)
    )
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    key = made.json()
    assert datetime.fromisoformat(key["expires_at"]) - datetime.fromisoformat(key["created_at"]) == timedelta(days=1)
    assert (await api.http.get(f"/threads/{uuid4()}", headers=bearer(key["key"]))).status_code == 404

    listed = (await api.http.get("/keys", headers=bearer(admin))).json()
    assert [(one["owner"], one["admin"]) for one in listed] == [("root", True), ("shop", False)]
    assert all(name in one for one in listed for name in ("last_used_at", "revoked_at"))
    assert key["key"] not in str(listed)

    revoked = await api.http.delete(f"/keys/{key['key_id']}", headers=bearer(admin))
    assert revoked.json()["revoked_at"] is not None
    check_problem(await api.http.delete("/keys/ffffffff", headers=bearer(admin)), 404, "key_not_found")


@pytest.mark.parametrize(("method", "path"), [("POST", "/keys"), ("GET", "/keys"), ("DELETE", "/keys/1f0a93c2")])
async def test_keys_are_for_admins(api: Api, method: str, path: str) -> None:
    text, _ = await create_key(api.database, "alice")
    body = {"owner": "alice", "admin": True} if method == "POST" else None
    check_problem(await api.http.request(method, path, json=body, headers=bearer(text)), 403, "forbidden")
    check_problem(await api.http.request(method, path, json=body), 401, "unauthenticated")


async def test_a_server_that_takes_no_keys_makes_none(shared: Api) -> None:
    problem = check_problem(await shared.http.post("/keys", json={"owner": "me"}), 403, "forbidden")
    assert "RELAYRUN_AUTH" in problem["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"owner": ""},
        {"owner": "a\nb"},
        {"owner": "a", "expires_in_days": 0},
        {"owner": "a", "admin": "yes"},
        {"owner": "a", "expires": 30},
    ],
)
async def test_a_key_that_cannot_be_is_refused(api: Api, body: dict[str, object]) -> None:
    admin, _ = await create_key(api.database, "root", admin=True)
    check_problem(await api.http.post("/keys", json=body, headers=bearer(admin)), 422, "invalid_request")


@pytest.mark.parametrize("wrong", ["lsv2_x", "", PREFIX, PREFIX + "0" * 64, PREFIX + "\xe9" * 64, "0" * 64])
async def test_what_is_no_key_is_refused(api: Api, wrong: str) -> None:
    for headers in (
        {"X-Api-Key": wrong.encode("latin-1")},
        {"Authorization": f"Bearer {wrong}".strip().encode("latin-1")},
    ):
        response = await api.http.post("/threads/search", json={}, headers=headers)
        check_problem(response, 401, "unauthenticated")
        assert 'error="invalid_token"' in response.headers["www-authenticate"]
    sdk = get_client(url=api.url, api_key=PREFIX + "0" * 64)
    with pytest.raises(AuthenticationError):
        await sdk.threads.search()
    await sdk.aclose()


async def test_a_key_ends_when_it_is_revoked_or_expires(api: Api) -> None:
    now = datetime.now(UTC)
    ring = KeyRing(api.database, clock=lambda: now)
    text, key = await create_key(api.database, "alice")
    assert (await ring.verify(text)).owner == "alice"
    assert await revoke_key(api.database, key.key_id)
    now += timedelta(seconds=REMEMBERED_SECONDS)
    with pytest.raises(Unauthenticated, match="revoked"):
        await ring.verify(text)
    short, _ = await create_key(api.database, "alice", lifetime=timedelta(seconds=60))
    assert (await ring.verify(short)).owner == "alice"
    now += timedelta(seconds=61)
    with pytest.raises(Unauthenticated, match="expired"):
        await ring.verify(short)
    assert await revoke_key(api.database, "ffffffff") is None


async def test_a_key_that_is_remembered_expires_all_the_same(api: Api) -> None:
    text, key = await create_key(api.database, "alice", lifetime=timedelta(seconds=60))
    assert key.expires_at is not None
    now = key.expires_at - timedelta(seconds=1)
    ring = KeyRing(api.database, clock=lambda: now)
    assert (await ring.verify(text)).owner == "alice"
    now += timedelta(seconds=2)
    with pytest.raises(Unauthenticated, match="expired"):
        await ring.verify(text)


async def test_no_key_is_kept_in_plain_and_its_use_is_noted_to_the_hour(api: Api) -> None:
    text, key = await create_key(api.database, "alice", name="laptop")
    assert text.startswith(PREFIX + key.key_id)
    rows = await api.database.fetch_all("SELECT k::text AS everything FROM api_keys k")
    assert all(text.removeprefix(PREFIX)[8:] not in row["everything"] for row in rows)

    async def last_used() -> object:
        return (await list_keys(api.database))[0].last_used_at

    assert await last_used() is None
    await KeyRing(api.database).verify(text)
    first = await last_used()
    assert first is not None
    await KeyRing(api.database).verify(text)
    assert await last_used() == first


@pytest.fixture
async def both(settings: ApiSettings) -> AsyncIterator[Api]:
    given = ApiSettings(database_url=settings.database_url, **{**HS256, "auth": "jwt,api-key"})
    async with opened(given) as api:
        yield api


async def test_tokens_and_keys_are_taken_side_by_side(both: Api) -> None:
    text, _ = await create_key(both.database, "alice")
    thread = (await both.http.post("/threads", json={}, headers=as_user("alice"))).json()["thread_id"]
    mixed = {**as_user("alice"), "X-Api-Key": "lsv2_that_the_sdk_found_in_the_environment"}
    for headers in (bearer(text), {"X-Api-Key": text}, bearer(token("alice")), mixed):
        assert (await both.http.get(f"/threads/{thread}", headers=headers)).status_code == 200
    assert (await both.http.get(f"/threads/{thread}", headers={"X-Api-Key": token("alice")})).status_code == 401
