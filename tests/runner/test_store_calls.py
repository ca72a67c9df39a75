"""What clients ask of the store. The measure is LangGraph's in-memory store, which is that of `langgraph dev`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from langgraph.store.base import SearchItem
from langgraph.store.memory import InMemoryStore
from starlette.requests import Request

from relayrun_core.database import Database
from relayrun_runner.config.load import load_config
from relayrun_runner.config.model import IndexConfig
from relayrun_runner.errors import DatabaseAway, InvalidStoreCall, StoreCallFailed
from relayrun_runner.http.responses import EXCEPTION_HANDLERS
from relayrun_runner.langgraph_tables import setup
from relayrun_runner.store import clients
from relayrun_runner.store.calls import StoreCalls, parse_call, store_calls
from relayrun_runner.store.vectors import RetryingStore, open_store
from tests.runner.processes import RunnerProcess, write_agent
from tests.support.waiting import until_it_is

INDEX = IndexConfig(dims=3, embed="./embed.py:embed", fields=["text"])
EMBED = """
import asyncio

async def embed(texts):
    if "broken" in texts:
        raise RuntimeError("the key sk-secret is wrong")
    if "exit" in texts:
        raise SystemExit(3)
    if "cancelled" in texts:
        raise asyncio.CancelledError
    return [[float(text.count(letter)) + 0.1 for letter in "abc"] for text in texts]
"""


@dataclass(frozen=True)
class Memory:
    """The store as graphs have it, and the calls of clients."""

    graphs: RetryingStore
    calls: StoreCalls

    async def ask(self, name: str, **body: Any) -> Any:
        return orjson.loads(await self.calls.answer(parse_call(name, orjson.dumps(body))))

    async def found(self, **query: Any) -> list[str]:
        return [item["key"] for item in (await self.ask("search", **query))["items"]]


@asynccontextmanager
async def memory(folder: Path, url: str, **store: Any) -> AsyncIterator[Memory]:
    config = write_agent(folder, "", **({"store": store} if store else {}))
    (folder / "embed.py").write_text(EMBED)
    loaded = load_config(config)
    await setup(url, loaded.store)
    async with open_store(url, loaded) as graphs:
        yield Memory(graphs, store_calls(graphs))


@pytest.fixture
async def indexed(tmp_path: Path, database_url: str) -> AsyncIterator[Memory]:
    async with memory(tmp_path / "indexed", database_url, index=INDEX.model_dump(exclude_none=True)) as opened:
        yield opened


@pytest.fixture
async def plain(tmp_path: Path, database_url: str) -> AsyncIterator[Memory]:
    async with memory(tmp_path / "plain", database_url) as opened:
        yield opened


VALUES: dict[str, dict[str, Any]] = {
    "two": {"n": 2, "s": "x", "o": {"x": 1, "y": {"z": "deep"}}, "l": [1, 2]},
    "ten": {"n": 10, "s": "y", "b": True, "none": None, "o": {}},
    "half": {"n": 9.5, "s": "10", "o": "text", "0": "zero", "": "nameless"},
    "empty": {},
}
FILTERS: list[dict[str, Any]] = [
    {},
    {"n": 2},
    {"n": 2.0},
    {"s": "x"},
    {"s": "10"},
    {"n": 10, "s": "y"},
    {"b": True},
    {"none": None},
    {"l": [1, 2]},
    {"l": [1]},
    {"l": {"0": 1}},
    {"0": "zero"},
    {"": "nameless"},
    {"a'b\"%s": 1},
    {"n": {"$eq": 10}},
    {"n": {"$ne": 10}},
    {"n": {"$ne": None}},
    {"o": {"$eq": {"x": 1, "y": {"z": "deep"}}}},
    {"o": {}},
    {"o": {"x": 1}},
    {"s": "x", "o": {"x": {"$gt": 0}}},
    {"o": {"y": {"z": "deep"}}},
    {"o": {"x": None}},
    {"missing": {"x": 1}},
]
ORDERS: list[dict[str, Any]] = [{"$gt": 9}, {"$gte": 9.5}, {"$lt": 10}, {"$lte": 9.5}, {"$gt": 2, "$lt": 10}]


async def test_filters_find_what_the_store_of_langgraph_dev_finds(plain: Memory) -> None:
    measure = InMemoryStore()
    for key, value in VALUES.items():
        await plain.graphs.aput(("a",), key, value)
        await measure.aput(("a",), key, value)

    async def both(wanted: dict[str, Any]) -> tuple[set[str], set[str]]:
        ours, theirs = [await store.asearch(("a",), filter=wanted) for store in (plain.graphs, measure)]
        assert await plain.found(filter=wanted) == _keys(ours)
        return set(_keys(ours)), set(_keys(theirs))

    for wanted in FILTERS:
        ours, theirs = await both(wanted)
        assert ours == theirs, wanted
    # There an order makes an error of an item without the field.
    await measure.adelete(("a",), "empty")
    for order in ORDERS:
        ours, theirs = await both({"n": order})
        assert ours == theirs, order


def _keys(items: list[SearchItem]) -> list[str]:
    return [item.key for item in items]


async def test_texts_have_an_order_and_none_with_numbers(plain: Memory) -> None:
    for key, value in VALUES.items():
        await plain.ask("put", namespace=["a"], key=key, value=value)
    assert await plain.found(filter={"s": {"$gt": "x"}}) == ["ten"]
    assert await plain.found(filter={"s": {"$gt": 1}}) == []


async def test_an_operator_that_there_is_not_is_an_error(plain: Memory) -> None:
    with pytest.raises(ValueError, match=r"Unsupported operator: \$foo"):
        await plain.graphs.asearch(("a",), filter={"n": {"$foo": 1}})


NAMESPACES = [("p", "a"), ("p", "b", "c"), ("p-x",), ("q",), ("q", "p", "a"), ("Q", "a_b"), ("Q", "a*b"), ("ä", "a")]
LISTINGS: list[dict[str, Any]] = [
    {},
    {"prefix": ["p"]},
    {"prefix": ["p", "b"]},
    {"prefix": ["*", "a"]},
    {"prefix": ["q", "*", "a"]},
    {"prefix": ["Q", "a_b"]},
    {"suffix": ["a"]},
    {"suffix": ["p", "a"]},
    {"suffix": ["b", "*"]},
    {"prefix": ["p"], "suffix": ["c"]},
    {"prefix": ["p", "b", "c", "d"]},
    {"max_depth": 1},
    {"max_depth": 2, "prefix": ["p"]},
    {"limit": 2},
    {"limit": 3, "offset": 2},
    {"max_depth": 1, "limit": 2, "offset": 1},
    {"offset": 100},
]


async def test_namespaces_are_listed_as_the_store_of_langgraph_dev_lists_them(plain: Memory) -> None:
    measure = InMemoryStore()
    for namespace in NAMESPACES:
        for key in "12":
            await plain.graphs.aput(namespace, key, {})
            await measure.aput(namespace, key, {})
    for listing in LISTINGS:
        as_tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in listing.items()}
        theirs = [list(namespace) for namespace in await measure.alist_namespaces(**as_tuples)]
        assert (await plain.ask("namespaces", **listing))["namespaces"] == theirs, listing


async def test_a_label_keeps_a_search_below_its_namespaces(indexed: Memory) -> None:
    places = [
        ("m", "bob"),
        ("m", "alice"),
        ("alice",),
        ("m", "alice", "y"),
        ("m", "alice2"),
        ("m", "al%ce"),
        ("m", "bob", "alice"),
    ]
    for place in places:
        await indexed.ask("put", namespace=place, key="-".join(place), value={"text": "abc", "of": place[-1]})
    alices = {"m-alice", "alice", "m-alice-y"}
    for query in ({}, {"query": "b"}):
        assert set(await indexed.found(label="alice", **query)) == alices
        assert set(await indexed.found(label="alice", namespace_prefix=["m"], **query)) == alices - {"alice"}
        assert await indexed.found(label="alice", filter={"of": "y"}, **query) == ["m-alice-y"]
        assert len(await indexed.found(label="alice", limit=2, **query)) == 2
        assert len(await indexed.found(label="alice", limit=2, offset=2, **query)) == 1
        for nobody in ("", "alic_", "m.alice", "%"):
            assert await indexed.found(label=nobody, **query) == []
    listed = (await indexed.ask("namespaces", label="alice"))["namespaces"]
    assert listed == [["alice"], ["m", "alice"], ["m", "alice", "y"]]
    assert (await indexed.ask("namespaces", label="alice", max_depth=1, limit=1, offset=1))["namespaces"] == [["m"]]
    assert (await indexed.ask("namespaces", label="al.ce"))["namespaces"] == []


async def test_a_search_by_meaning_has_pages(indexed: Memory) -> None:
    for number in range(12):
        await indexed.ask("put", namespace=["docs"], key=f"{number:02}", value={"text": "a" * number + "b"})
    best_first = [f"{number:02}" for number in range(12)]
    pages = [await indexed.found(query="b", limit=2, offset=offset) for offset in range(0, 14, 2)]
    assert [key for page in pages for key in page] == best_first
    assert await indexed.found(query="b", limit=20, offset=9) == best_first[9:]


async def test_a_search_by_meaning_finds_as_many_as_it_is_asked_for(indexed: Memory, database: Database) -> None:
    row = await database.fetch_one("SELECT current_database() AS name")
    assert row is not None
    for plan in ("enable_seqscan", "enable_sort", "enable_bitmapscan"):
        # What Postgres does by itself once there are a few thousand items: it walks pgvector's index.
        await database.execute(f'ALTER DATABASE "{row["name"]}" SET {plan} = off')
    async with asyncio.TaskGroup() as tasks:
        for number in range(120):
            place, text = ("docs", "few" if number % 4 == 0 else "many"), "a" * number + "b"
            tasks.create_task(indexed.graphs.aput(place, str(number), {"text": text}))
    assert len(await indexed.found(query="b", limit=100)) == 100
    assert len(await indexed.found(query="b", limit=100, label="few")) == 30


async def test_what_an_embedding_says_stays_in_the_log(indexed: Memory, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StoreCallFailed, match="RuntimeError") as caught:
        await indexed.ask("put", namespace=["a"], key="k", value={"text": "broken"})
    assert "sk-secret" not in str(caught.value)
    assert "sk-secret" in caplog.text
    assert await indexed.ask("get", namespace=["a"], key="k") is None


async def test_a_clients_call_that_fails_fails_no_node_at_the_same_moment(indexed: Memory) -> None:
    broken = indexed.ask("put", namespace=["a"], key="client", value={"text": "broken"})
    others = [indexed.graphs.aput(("a",), "node", {"text": "abc"})]
    others += [indexed.ask("put", namespace=["a"], key="other", value={"text": "abc"})]
    failed, *done = await asyncio.gather(broken, *others, return_exceptions=True)
    assert isinstance(failed, StoreCallFailed)
    assert done == [None, None]


@pytest.mark.parametrize(
    ("text", "error"), [("broken", RuntimeError), ("exit", SystemExit), ("cancelled", asyncio.CancelledError)]
)
async def test_a_nodes_call_that_fails_fails_no_other_at_the_same_moment(
    indexed: Memory, text: str, error: type[BaseException]
) -> None:
    for _ in range(2):  # and the store goes on
        broken = indexed.graphs.aput(("a",), "broken", {"text": text})
        other = indexed.graphs.aput(("a",), "other", {"text": "abc"})
        async with asyncio.timeout(60):
            failed, done = await asyncio.gather(_error_of(broken), other)
        assert (type(failed), done) == (error, None)
    assert [item.key for item in await indexed.graphs.asearch(("a",))] == ["other"]
    with pytest.raises(StoreCallFailed, match=error.__name__):
        await indexed.ask("put", namespace=["a"], key="k", value={"text": text})


async def _error_of(call: Awaitable[Any]) -> BaseException | None:
    try:
        await call
    except BaseException as error:  # noqa: BLE001 - any
        return error
    return None


@pytest.mark.parametrize(
    ("index", "embedded"),
    [
        ({}, ["text"]),
        ({"index": None}, ["text"]),
        ({"index": False}, []),
        ({"index": []}, []),
        ({"index": ["more[*]"]}, ["more[*].0", "more[*].1"]),
    ],
)
async def test_index_says_what_is_embedded(
    indexed: Memory, database: Database, index: dict[str, Any], embedded: list[str]
) -> None:
    await indexed.ask("put", namespace=["a"], key="k", value={"text": "a", "more": ["b", "c"]}, **index)
    rows = await database.fetch_all("SELECT field_name FROM store_vectors ORDER BY field_name")
    assert [row["field_name"] for row in rows] == embedded


async def test_an_item_of_too_many_texts_is_refused(indexed: Memory, plain: Memory) -> None:
    long = {"namespace": ["a"], "key": "k", "value": {"more": ["b"] * 1001}, "index": ["more[*]"]}
    with pytest.raises(InvalidStoreCall, match="more than 1000 texts"):
        await indexed.ask("put", **long)
    await plain.ask("put", **long)  # nothing is embedded there


MINUTES = "SELECT ttl_minutes, extract(epoch FROM expires_at - now())::float / 60 AS left FROM store"


@pytest.mark.parametrize(
    ("given", "minutes"),
    [
        ({}, 60),
        ({"ttl": None}, None),
        ({"ttl": 5}, 5),
        ({"ttl": 0.2}, 1),
        ({"ttl": 1.5}, 2),
        ({"ttl": 2**31 - 1}, 2**31 - 1),
    ],
)
async def test_a_time_to_live_is_kept_in_whole_minutes(
    tmp_path: Path, database_url: str, database: Database, given: dict[str, Any], minutes: int | None
) -> None:
    async with memory(tmp_path / "ttl", database_url, ttl={"default_ttl": 60}) as store:
        await store.ask("put", namespace=["a"], key="k", value={}, **given)
        await store.ask("get", namespace=["a"], key="k", refresh_ttl=True)
    row = await database.fetch_one(MINUTES)
    assert row is not None
    assert row["ttl_minutes"] == minutes
    assert (row["left"] is None) if minutes is None else (minutes - 0.5 < row["left"] <= minutes)


@pytest.mark.parametrize(
    ("name", "refreshes"),
    [("get", True), ("get", False), ("get", None), ("search", True), ("search", False), ("search", None)],
)
async def test_a_read_starts_the_time_anew_unless_told_otherwise(
    tmp_path: Path, database_url: str, database: Database, name: str, refreshes: bool | None
) -> None:
    async with memory(tmp_path / "ttl", database_url, ttl={"refresh_on_read": False}) as store:
        await store.ask("put", namespace=["a"], key="k", value={}, ttl=10)
        await database.execute("UPDATE store SET expires_at = now() + interval '1 minute'")
        place = {"namespace": ["a"], "key": "k"} if name == "get" else {"namespace_prefix": ["a"]}
        await store.ask(name, **place, refresh_ttl=refreshes)
    row = await database.fetch_one(MINUTES)
    assert row is not None
    assert (row["left"] > 5) == bool(refreshes)


async def test_what_has_expired_is_deleted_by_the_runners_together(
    tmp_path: Path, database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relayrun_runner.store.vectors._ttl", lambda _: {"sweep_interval_minutes": 0.001})

    async def is_swept() -> bool:
        return await database.fetch_all("SELECT key FROM store ORDER BY key") == [{"key": "kept"}, {"key": "later"}]

    # Neither has `store.ttl`.
    async with memory(tmp_path / "one", database_url) as one, memory(tmp_path / "two", database_url) as two:
        for number in range(50):
            await one.ask("put", namespace=["a"], key=str(number), value={}, ttl=1)
        await two.ask("put", namespace=["a"], key="later", value={}, ttl=10)
        await two.ask("put", namespace=["a"], key="kept", value={})
        await database.execute("UPDATE store SET expires_at = now() WHERE ttl_minutes = 1")
        await until_it_is(is_swept)


async def test_what_has_expired_is_not_found_where_the_configuration_says_so(
    tmp_path: Path, database_url: str, database: Database
) -> None:
    async def seen(store: Memory) -> list[Any]:
        item = await store.ask("get", namespace=["a"], key="k", refresh_ttl=False)
        found = await store.found(refresh_ttl=False)
        return [item and item["key"], found, (await store.ask("namespaces"))["namespaces"]]

    async with (
        memory(tmp_path / "omits", database_url, ttl={"omit_expired": True}) as omits,
        memory(tmp_path / "shows", database_url) as shows,
    ):
        await omits.ask("put", namespace=["a"], key="k", value={}, ttl=10)
        await database.execute("UPDATE store SET expires_at = now() - interval '1 second'")
        assert await seen(omits) == [None, [], []]
        assert await seen(shows) == ["k", ["k"], [["a"]]]


async def test_calls_do_not_wait_long_for_connections(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relayrun_runner.store.clients._RETRY_SECONDS", 0.2)
    async with memory(tmp_path / "busy", database_url) as store:
        pool = store.calls._store.conn
        taken = [await pool.getconn() for _ in range(2)]
        try:
            with pytest.raises(DatabaseAway):
                await store.ask("get", namespace=["a"], key="k")
        finally:
            for conn in taken:
                await pool.putconn(conn)
        assert await store.ask("get", namespace=["a"], key="k") is None


def form_of(item: dict[str, Any]) -> list[str]:
    return list(item)


async def test_a_runner_answers_calls(shared_runner: RunnerProcess) -> None:
    async def ask(name: str, **body: Any) -> tuple[int, Any]:
        answer = await shared_runner.client.post(f"/store/{name}", json=body)
        return answer.status_code, answer.json()

    place = {"namespace": ["routes", "x"], "key": "k"}
    assert await ask("put", **place, value={"n": 1}) == (200, None)
    status, item = await ask("get", **place)
    assert (status, form_of(item)) == (200, ["namespace", "key", "value", "created_at", "updated_at"])
    status, found = await ask("search", namespace_prefix=["routes"])
    assert (status, form_of(found["items"][0])) == (200, [*form_of(item), "score"])
    assert await ask("namespaces", prefix=["routes"]) == (200, {"namespaces": [["routes", "x"]]})
    assert await ask("delete", **place) == (200, None)
    assert await ask("get", **place) == (200, None)
    refusals: list[tuple[str, dict[str, Any], int]] = [
        ("forget", place, 404),
        ("put", place, 400),
        ("get", {"namespace": ["a.b"], "key": "k"}, 400),
        ("put", {"namespace": ["langgraph"], "key": "k", "value": {}}, 400),
        ("search", {"limit": 0}, 400),
    ]
    for name, body, status in refusals:
        assert (await ask(name, **body))[0] == status, (name, body)
    stranger = await shared_runner.client.post("/store/get", json=place, headers={"Authorization": "Bearer other"})
    assert stranger.status_code == 401


async def test_items_that_are_too_large_together_are_refused_and_fewer_are_not(plain: Memory) -> None:
    value = orjson.dumps({"text": "x" * 1_000_000}).decode()
    insert = (
        """INSERT INTO store (prefix, key, value) SELECT 'a', n::text, %s::jsonb FROM generate_series(1, 60) AS n"""
    )
    async with plain.calls._database.connection() as conn:
        await conn.execute(insert, (value,))
    with pytest.raises(InvalidStoreCall, match="smaller `limit`"):
        await plain.ask("search", limit=60)
    assert len(await plain.found(limit=15)) == 15


@pytest.mark.parametrize(("name", "query"), [("search", {"filter": {"n": 1}}), ("namespaces", {})])
async def test_a_call_that_takes_too_long_is_ended_and_not_tried_again(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, name: str, query: dict[str, Any]
) -> None:
    monkeypatch.setattr(clients, "_LIMITS", {"statement_timeout": "200ms"})
    async with memory(tmp_path / "slow", database_url) as slow, slow.graphs.conn.connection() as conn:  # type: ignore[union-attr]
        async with conn.transaction():
            await conn.execute("LOCK TABLE store IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(psycopg.errors.QueryCanceled):
                await slow.ask(name, **query)
            refused = await EXCEPTION_HANDLERS[psycopg.Error](Request({"type": "http"}), psycopg.errors.QueryCanceled())
            assert refused.status_code == 408  # 503 would have the next runner asked
        assert await slow.ask(name, **query)
