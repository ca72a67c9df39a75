"""The store by HTTP: real runners, whose agent has a vector index, and callers who own what is below their label."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import string
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client, get_sync_client
from pydantic import SecretStr

from relayrun_api.settings import ApiSettings
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from relayrun_runner.config.model import IndexConfig, StoreConfig
from relayrun_runner.langgraph_tables import setup
from tests.api.access import HS256, as_admin, as_user
from tests.api.conftest import Api, opened
from tests.runner.processes import TOKEN, RunnerProcess, runner_process, write_agent
from tests.support.postgres import fresh_database
from tests.support.waiting import until

ALICE, BOB, ADMIN = as_user("alice"), as_user("bob"), as_admin()
INDEX = {"dims": 3, "embed": "./embed.py:embed", "fields": ["text"]}
AGENT = """
from typing import TypedDict
from langgraph.graph import START, StateGraph
from langgraph.store.base import BaseStore

class State(TypedDict, total=False):
    saw: list[str]

async def remember(state: State, *, store: BaseStore) -> State:
    await store.aput(("memories", "alice"), "of the graph", {"text": "abc"})
    return {"saw": [item.key for item in await store.asearch(("memories", "alice"))]}

graph = StateGraph(State).add_node("remember", remember).add_edge(START, "remember")
"""
# While there is a file `hold`, a text that says so waits; the process that waits writes its pid beside it.
EMBED = """
import asyncio, os
from pathlib import Path

HOLD = Path(__file__).with_name("hold")

async def embed(texts):
    if "hold" in texts and HOLD.exists():
        HOLD.with_name(f"held-{os.getpid()}").touch()
        while HOLD.exists():
            await asyncio.sleep(0.01)
    if "broken" in texts:
        raise RuntimeError("the key sk-secret is wrong")
    return [[float(text.count(letter)) + 0.1 for letter in "abc"] for text in texts]
"""


@dataclass(frozen=True)
class Place:
    """An installation: its database, the folder of its agent, and the file that lists its runners."""

    url: str
    config: Path
    listed: Path

    @property
    def settings(self) -> ApiSettings:
        return ApiSettings(database_url=self.url, runners_file=self.listed, runner_token=SecretStr(TOKEN), **HS256)

    @property
    def open_settings(self) -> ApiSettings:
        return ApiSettings(database_url=self.url, runners_file=self.listed, runner_token=SecretStr(TOKEN), auth="none")

    def list(self, *runners: tuple[str, str]) -> None:
        """Runners by their URL and agent."""
        graphs = ["agent", "steps", "talk"]
        entries = [{"name": url, "url": url, "agent": agent, "graphs": graphs} for url, agent in runners]
        self.listed.write_text(json.dumps(entries))


@asynccontextmanager
async def new_place(postgres: EmbeddedPostgres, folder: Path) -> AsyncIterator[Place]:
    config = write_agent(folder / "agent", AGENT, store={"index": INDEX})
    (config.parent / "embed.py").write_text(EMBED)
    async with fresh_database(postgres) as url:
        await setup(url, StoreConfig(index=IndexConfig.model_validate(INDEX)))
        place = Place(url, config, folder / "runners.json")
        place.list()
        yield place


def url_of(runner: RunnerProcess) -> str:
    return str(runner.client.base_url).rstrip("/")


@pytest.fixture(scope="module")
async def place(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with new_place(postgres, tmp_path_factory.mktemp("store")) as made:
        yield made


@pytest.fixture(scope="module")
async def runner(place: Place) -> AsyncIterator[RunnerProcess]:
    async with runner_process(place.config, place.url, build="1") as process:
        await process.wait_ready()
        place.list((url_of(process), "default"))
        yield process


@pytest.fixture(scope="module")
async def guarded(place: Place, runner: RunnerProcess) -> AsyncIterator[Api]:
    async with opened(place.settings) as api:
        yield api


@pytest.fixture(scope="module")
async def free(place: Place, runner: RunnerProcess) -> AsyncIterator[Api]:
    async with opened(place.open_settings) as api:
        yield api


@pytest.fixture(autouse=True)
async def forget(place: Place) -> AsyncIterator[None]:
    yield
    async with Database.open(place.url, role="world") as database:
        await database.execute("DELETE FROM store")


async def test_every_method_of_the_sdk_works(free: Api) -> None:
    store = free.sdk.store
    assert await store.put_item(["docs", "a"], key="1", value={"text": "aaa", "n": 1}) is None  # type: ignore[func-returns-value]
    await store.put_item(["docs", "a"], key="2", value={"text": "bbb", "n": 10}, index=["text"], ttl=5)
    await store.put_item(["docs", "b", "c"], key="3", value={"text": "ccc", "n": 9}, index=False)
    item = await store.get_item(["docs", "a"], key="1", refresh_ttl=True)
    assert list(item) == ["namespace", "key", "value", "created_at", "updated_at"]
    assert (item["namespace"], item["key"], item["value"]) == (["docs", "a"], "1", {"text": "aaa", "n": 1})
    assert await store.get_item(["docs", "a"], key="none") is None
    found = (await store.search_items(["docs"], filter={"n": {"$gte": 9}}))["items"]
    assert [item["key"] for item in found] == ["3", "2"]
    assert list(found[0]) == ["namespace", "key", "value", "created_at", "updated_at", "score"]
    by_meaning = (await store.search_items(["docs"], query="bb", limit=2, refresh_ttl=False))["items"]
    assert [item["key"] for item in by_meaning] == ["2", "1"]  # the third has no vector
    assert by_meaning[0]["score"] > 0.9
    assert [item["key"] for item in (await store.search_items(["docs"], limit=1, offset=1))["items"]] == ["2"]
    listed = await store.list_namespaces(prefix=["docs"], suffix=["c"])
    assert listed == {"namespaces": [["docs", "b", "c"]]}
    assert (await store.list_namespaces(max_depth=1))["namespaces"] == [["docs"]]
    assert (await store.list_namespaces(limit=1, offset=1))["namespaces"] == [["docs", "b", "c"]]
    await store.delete_item(["docs", "a"], key="1")
    await store.delete_item(["docs", "a"], key="1")
    assert await store.get_item(["docs", "a"], key="1") is None


async def test_every_method_of_the_synchronous_sdk_works(free: Api) -> None:
    def use() -> None:
        with get_sync_client(url=free.url, api_key=None) as client:
            store = client.store
            store.put_item(["docs"], key="1", value={"text": "aaa"}, ttl=5)
            assert store.get_item(["docs"], key="1")["value"] == {"text": "aaa"}
            assert len(store.search_items(["docs"], query="a", filter={"text": "aaa"})["items"]) == 1
            assert store.list_namespaces(prefix=["docs"]) == {"namespaces": [["docs"]]}
            store.delete_item(["docs"], key="1")
            assert store.search_items(["docs"]) == {"items": []}

    await asyncio.to_thread(use)


async def test_graphs_and_clients_share_one_store(free: Api, runner: RunnerProcess) -> None:
    await free.sdk.store.put_item(["memories", "alice"], key="of the client", value={"text": "b"})
    run = await free.sdk.runs.create(None, "agent", input={})
    await runner.put(run["run_id"])
    ended = await runner.wait_state(run["run_id"], "Finished")
    assert ended["outcome"]["status"] == "success", runner.log()
    state = (await free.http.get(f"/threads/{run['thread_id']}")).json()
    assert sorted(state["values"]["saw"]) == ["of the client", "of the graph"]
    found = await free.sdk.store.search_items(["memories"], query="abc")
    assert {item["key"] for item in found["items"]} == {"of the client", "of the graph"}


async def ask(api: Api, headers: dict[str, str], call: str, **body: Any) -> httpx.Response:
    method, _, path = call.partition(" ")
    if method == "GET":
        params = {**body, "namespace": ".".join(body["namespace"])}
        return await api.http.get(f"/store/{path}", params=params, headers=headers)
    return await api.http.request(method, f"/store/{path}", json=body, headers=headers)


ALICES = (["memories", "alice"], ["alice"], ["a", "alice", "c", "d"])
NOT_ALICES = (
    ["memories", "bob"],
    ["memories"],
    ["memories", "alice2"],
    ["memories", "Alice"],
    ["al%ce"],
    ["memories", "bob", "alice"],
)


@pytest.mark.parametrize("namespace", ALICES)
async def test_a_caller_uses_what_is_below_its_own_label(guarded: Api, namespace: list[str]) -> None:
    place = {"namespace": namespace, "key": "k"}
    assert (await ask(guarded, ALICE, "PUT items", **place, value={"text": "a"})).status_code == 204
    assert (await ask(guarded, ALICE, "GET items", **place)).json()["value"] == {"text": "a"}
    assert (await ask(guarded, ALICE, "POST items/search", namespace_prefix=namespace)).json()["items"] != []
    assert (await ask(guarded, ALICE, "POST namespaces", prefix=namespace)).json() == {"namespaces": [namespace]}
    assert (await ask(guarded, ALICE, "DELETE items", **place)).status_code == 204
    missing = await ask(guarded, ALICE, "GET items", **place)
    assert (missing.status_code, missing.json()) == (200, None)


@pytest.mark.parametrize("namespace", NOT_ALICES)
@pytest.mark.parametrize("there", [True, False])
async def test_what_is_below_no_label_of_the_caller_is_not_its_own(
    guarded: Api, namespace: list[str], there: bool
) -> None:
    place = {"namespace": namespace, "key": "k"}
    if there:
        await ask(guarded, ADMIN, "PUT items", **place, value={"text": "secret"})
    got = await ask(guarded, ALICE, "GET items", **place)
    assert (got.status_code, got.json()["code"]) == (404, "not_found")
    for call, more in (("PUT items", {"value": {"text": "mine"}}), ("DELETE items", {})):
        refused = await ask(guarded, ALICE, call, **place, **more)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert "make your id, 'alice', its first or second label" in refused.json()["detail"]
    kept = (await ask(guarded, ADMIN, "GET items", **place)).json()
    assert (kept and kept["value"]) == ({"text": "secret"} if there else None)


async def keys(api: Api, headers: dict[str, str], **query: Any) -> list[str]:
    answer = await ask(api, headers, "POST items/search", **query)
    assert answer.status_code == 200, answer.text
    return ["/".join(item["namespace"]) for item in answer.json()["items"]]


async def test_searches_and_listings_answer_ones_own_alone_and_an_admin_all(guarded: Api) -> None:
    everything = [*ALICES, *NOT_ALICES, ["memories", "bob", "x"]]
    for namespace in everything:
        await ask(guarded, ADMIN, "PUT items", namespace=namespace, key="k", value={"text": "abc"})
    names = {"/".join(namespace) for namespace in everything}
    alices, bobs = (
        {"/".join(namespace) for namespace in ALICES},
        {"memories/bob", "memories/bob/x", "memories/bob/alice"},
    )
    queries: tuple[dict[str, Any], ...] = ({}, {"query": "ab"}, {"filter": {"text": "abc"}})
    for query in queries:
        assert set(await keys(guarded, ALICE, **query)) == alices
        assert set(await keys(guarded, BOB, namespace_prefix=["memories"], **query)) == bobs
        assert await keys(guarded, BOB, namespace_prefix=["memories", "alice"], **query) == []
        assert set(await keys(guarded, ADMIN, **query)) == names
        pages = [await keys(guarded, ALICE, limit=1, offset=offset, **query) for offset in range(4)]
        assert [len(page) for page in pages] == [1, 1, 1, 0]
        assert {name for page in pages for name in page} == alices
    assert await keys(guarded, ALICE, filter={"label": "bob"}, label="bob") == []
    listed = (await ask(guarded, ALICE, "POST namespaces")).json()["namespaces"]
    assert listed == sorted(ALICES)
    assert (await ask(guarded, BOB, "POST namespaces", prefix=["*", "alice"])).json()["namespaces"] == []
    assert (await ask(guarded, BOB, "POST namespaces", label="alice")).json()["namespaces"] == [
        ["memories", "bob"],
        ["memories", "bob", "alice"],
        ["memories", "bob", "x"],
    ]
    everybodys = (await ask(guarded, ADMIN, "POST namespaces")).json()["namespaces"]
    assert {"/".join(namespace) for namespace in everybodys} == names


@pytest.mark.parametrize("name", ["memories.dora", "dora.private", "memories.*", "*", "%", "(memories|dora)"])
async def test_a_name_is_one_label_and_no_pattern(guarded: Api, name: str) -> None:
    for namespace in (["memories", "dora", "private"], ["dora", "private"]):
        await ask(guarded, ADMIN, "PUT items", namespace=namespace, key="k", value={"text": "abc"})
    caller = as_user(name)
    for query in ({}, {"prefix": ["memories"]}, {"prefix": ["*"]}, {"suffix": ["private"]}):
        assert (await ask(guarded, caller, "POST namespaces", **query)).json() == {"namespaces": []}
    assert await keys(guarded, caller) == []
    for namespace in (["memories", "dora", "private"], ["dora", "private"]):
        assert (await ask(guarded, caller, "GET items", namespace=namespace, key="k")).status_code == 404


async def test_without_a_token_nobody_reaches_the_store(guarded: Api) -> None:
    for call in ("PUT items", "GET items", "DELETE items", "POST items/search", "POST namespaces"):
        assert (await ask(guarded, {}, call, namespace=["a"], key="k", value={})).status_code == 401, call


ITEM = {"namespace": ["a"], "key": "k"}
LONG = "x" * 257
DEEP: dict[str, Any] = {"end": 1}
for _ in range(10):
    DEEP = {"in": DEEP}

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("PUT items", {"key": "k", "value": {}}, "#/namespace"),
    ("PUT items", {**ITEM, "namespace": [], "value": {}}, "#/namespace"),
    ("PUT items", {**ITEM, "namespace": ["a"] * 21, "value": {}}, "#/namespace"),
    ("PUT items", {**ITEM, "namespace": ["a.b"], "value": {}}, "without periods"),
    ("PUT items", {**ITEM, "namespace": [""], "value": {}}, "#/namespace/0"),
    ("PUT items", {**ITEM, "namespace": [LONG], "value": {}}, "#/namespace/0"),
    ("PUT items", {**ITEM, "namespace": ["a\0"], "value": {}}, "NUL"),
    ("PUT items", {**ITEM, "namespace": [1], "value": {}}, "#/namespace/0"),
    ("PUT items", {**ITEM, "namespace": "a", "value": {}}, "#/namespace"),
    ("PUT items", {**ITEM, "namespace": ["langgraph", "a"], "value": {}}, "reserved for LangGraph"),
    ("PUT items", {**ITEM, "key": "", "value": {}}, "#/key"),
    ("PUT items", {**ITEM, "key": "x" * 1025, "value": {}}, "#/key"),
    ("PUT items", {**ITEM, "key": "ä" * 1000, "value": {}}, "2000 bytes"),
    ("PUT items", {"namespace": [LONG[1:]] * 8, "key": "k", "value": {}}, "2000 bytes"),
    ("PUT items", {**ITEM, "key": 1, "value": {}}, "#/key"),
    ("PUT items", ITEM, "#/value"),
    ("PUT items", {**ITEM, "value": None}, "#/value"),
    ("PUT items", {**ITEM, "value": [1]}, "#/value"),
    ("PUT items", {**ITEM, "value": {"text": "x" * 2**20}}, "1 MiB"),
    ("PUT items", {**ITEM, "value": {"text": "\0"}}, "NUL"),
    ("PUT items", {**ITEM, "value": {}, "index": True}, "#/index"),
    ("PUT items", {**ITEM, "value": {}, "index": "text"}, "#/index"),
    ("PUT items", {**ITEM, "value": {}, "index": ["a"] * 11}, "at most 10 paths"),
    ("PUT items", {**ITEM, "value": {}, "index": [1]}, "#/index"),
    ("PUT items", {**ITEM, "value": {}, "index": ["ä" * 129]}, "256 bytes"),
    ("PUT items", {**ITEM, "value": {"a": ["b"] * 1001}, "index": ["a[*]"]}, "more than 1000 texts"),
    ("PUT items", {**ITEM, "value": {}, "ttl": 0}, "#/ttl"),
    ("PUT items", {**ITEM, "value": {}, "ttl": -1}, "#/ttl"),
    ("PUT items", {**ITEM, "value": {}, "ttl": "5"}, "#/ttl"),
    ("PUT items", {**ITEM, "value": {}, "ttl": True}, "#/ttl"),
    ("PUT items", {**ITEM, "value": {}, "ttl": 1e30}, "#/ttl"),
    ("GET items", {"namespace": [""], "key": "k"}, "query/namespace"),
    ("GET items", {"namespace": ["a", "", "b"], "key": "k"}, "query/namespace"),
    ("GET items", {"namespace": ["a"]}, "query/key"),
    ("GET items", {"namespace": ["a\0"], "key": "k"}, "NUL"),
    ("GET items", {**ITEM, "refresh_ttl": "perhaps"}, "query/refresh_ttl"),
    ("DELETE items", {"namespace": ["a"]}, "#/key"),
    ("DELETE items", {"namespace": [], "key": "k"}, "#/namespace"),
    ("POST items/search", {"namespace_prefix": "a"}, "#/namespace_prefix"),
    ("POST items/search", {"namespace_prefix": ["a.b"]}, "without periods"),
    ("POST items/search", {"limit": 0}, "#/limit"),
    ("POST items/search", {"limit": 1001}, "#/limit"),
    ("POST items/search", {"offset": -1}, "#/offset"),
    ("POST items/search", {"offset": 2**63}, "#/offset"),
    ("POST items/search", {"query": "a", "offset": 10_000}, "at most 10000 together"),
    ("POST items/search", {"query": "a" * 10_001}, "#/query"),
    ("POST items/search", {"filter": []}, "#/filter"),
    ("POST items/search", {"filter": {"n": {"$foo": 1}}}, "there is no operator '$foo'"),
    ("POST items/search", {"filter": {"n": {"$gt": 1, "other": 2}}}, "there is no operator 'other'"),
    ("POST items/search", {"filter": {"o": {"n": {"$in": [1]}}}}, "there is no operator '$in'"),
    ("POST items/search", {"filter": {"n": {"$matches": 1}}}, "there is no operator '$matches'"),
    ("POST items/search", {"filter": {"$label": "bob"}}, "'$label' has no field"),
    ("POST items/search", {"filter": {"$and": [{"n": 1}]}}, "'$and' has no field"),
    ("POST items/search", {"filter": {"n": {"$gt": None}}}, "$gt takes a number or a text"),
    ("POST items/search", {"filter": {"n": {"$lte": True}}}, "$lte takes a number or a text"),
    ("POST items/search", {"filter": {"n": {"$gt": {"$gt": 1}}}}, "$gt takes a number or a text"),
    ("POST items/search", {"filter": {str(n): n for n in range(101)}}, "at most 100 conditions"),
    ("POST items/search", {"filter": DEEP}, "at most 10 objects deep"),
    ("POST namespaces", {"prefix": "a"}, "#/prefix"),
    ("POST namespaces", {"suffix": ["a.b"]}, "without periods"),
    ("POST namespaces", {"max_depth": 0}, "#/max_depth"),
    ("POST namespaces", {"limit": 1001}, "#/limit"),
    ("POST namespaces", {"offset": -1}, "#/offset"),
]


@pytest.mark.parametrize(("call", "body", "sentence"), REFUSED)
async def test_what_can_not_be_right_is_refused_with_a_sentence(
    free: Api, call: str, body: dict[str, Any], sentence: str
) -> None:
    refused = await ask(free, {}, call, **body)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request"), refused.text
    assert sentence in refused.json()["detail"]


def random_text(length: int) -> str:
    """Text that no index can compress."""
    return "".join(random.Random(length).choices(string.ascii_letters, k=length))


PATH = random_text(250)
ODD: list[dict[str, Any]] = [
    {
        "namespace": [random_text(250)] * 4,
        "key": random_text(996),
        "value": {PATH: ["a"] * 3},
        "index": [f"{PATH}[*]"],
    },
    {"namespace": ["a"] * 20, "key": "x" * 1024, "value": {}},
    {"namespace": ["ä" * 128] * 7, "key": "k" * 190, "value": {"text": "abc"}, "index": ["text"]},
    {"namespace": ["*", " ", "a%_\\^$(", "\n"], "key": "k'\"", "value": {"text": 1}},
    {"namespace": ["a"], "key": "k", "value": {"text": "x" * (2**20 - 20)}},
    {"namespace": ["a"], "key": "k", "value": {"n": 10**30, "m": 1e-300, "text": ["", {}]}},
    {"namespace": ["a"], "key": "k", "value": {"": {}}, "index": ["[", "{", "[*][*]", "$", "", "a.b[-1]"]},
]


@pytest.mark.parametrize("item", ODD)
async def test_what_is_odd_and_allowed_comes_back(free: Api, item: dict[str, Any]) -> None:
    kept = await ask(free, {}, "PUT items", **item)
    assert kept.status_code == 204, kept.text
    got = await ask(free, {}, "GET items", namespace=item["namespace"], key=item["key"])
    assert got.json()["value"] == item["value"]
    assert len((await ask(free, {}, "POST items/search", namespace_prefix=item["namespace"])).json()["items"]) == 1
    listed = await ask(free, {}, "POST namespaces", prefix=item["namespace"], suffix=item["namespace"])
    assert listed.json()["namespaces"] == [item["namespace"]]
    search = await ask(free, {}, "POST items/search", query="a" * 10_000, filter={"n": {"$gt": 10**40}}, limit=1000)
    assert search.status_code == 200


async def test_an_embedding_that_fails_is_told_without_its_words(free: Api) -> None:
    for call, body in (
        ("PUT items", {**ITEM, "value": {"text": "broken"}}),
        ("POST items/search", {"query": "broken"}),
    ):
        answer = await ask(free, {}, call, **body)
        assert (answer.status_code, answer.json()["code"]) == (502, "runner_refused")
        assert "RuntimeError" in answer.text
        assert "sk-secret" not in answer.text


async def test_a_call_goes_on_at_another_runner_when_its_runner_is_killed(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(new_place(postgres, tmp_path))
        runners = [await stack.enter_async_context(runner_process(place.config, place.url)) for _ in range(2)]
        for runner in runners:
            await runner.wait_ready()
        place.list(*((url_of(runner), "default") for runner in runners))
        api = await stack.enter_async_context(opened(place.open_settings))
        hold = place.config.with_name("hold")
        hold.touch()
        put = asyncio.create_task(ask(api, {}, "PUT items", **ITEM, value={"text": "hold"}))
        runners.remove(await kill_the_one_that_holds(place, runners))
        await until(holder_of(place, runners))
        hold.unlink()
        assert (await put).status_code == 204
        assert await keys(api, {}, query="hold") == ["a"]
        hold.touch()
        search = asyncio.create_task(ask(api, {}, "POST items/search", query="hold"))
        await kill_the_one_that_holds(place, runners)
        gone = await search
        assert (gone.status_code, gone.json()["code"], gone.headers["retry-after"]) == (503, "no_runner", "1")


def holder_of(place: Place, runners: list[RunnerProcess]) -> Callable[[], bool]:
    return lambda: any(held_by(place, runner).exists() for runner in runners)


def held_by(place: Place, runner: RunnerProcess) -> Path:
    return place.config.with_name(f"held-{runner.process.pid}")


async def kill_the_one_that_holds(place: Place, runners: list[RunnerProcess]) -> RunnerProcess:
    for runner in runners:
        held_by(place, runner).unlink(missing_ok=True)
    await until(holder_of(place, runners))
    [dead] = [runner for runner in runners if held_by(place, runner).exists()]
    dead.process.send_signal(signal.SIGKILL)
    await dead.wait_exit()
    return dead


async def test_with_no_runner_the_store_can_not_be_asked(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    async with new_place(postgres, tmp_path) as place, opened(place.settings) as api:
        for call in ("PUT items", "GET items", "DELETE items", "POST items/search", "POST namespaces"):
            answer = await ask(api, ALICE, call, namespace=["alice"], key="k", value={})
            assert (answer.status_code, answer.json()["code"]) == (503, "no_runner")
            assert "No runner of agent default is available" in answer.json()["detail"]
            assert answer.headers["retry-after"] == "1"
        # What is refused anyway is refused also then.
        assert (await ask(api, BOB, "PUT items", namespace=["alice"], key="k", value={})).status_code == 403


async def test_of_several_agents_one_with_an_index_is_asked(
    free: Api, place: Place, runner: RunnerProcess, tmp_path: Path
) -> None:
    plain = write_agent(tmp_path / "plain", AGENT)
    async with runner_process(plain, place.url, agent="aaa") as other:
        await other.wait_ready()
        place.list((url_of(runner), "default"), (url_of(other), "aaa"))
        # The catalog is read again every few seconds.
        settings = place.open_settings.model_copy(update={"default_graph": "aaa/agent"})
        async with opened(settings) as api:
            item = {"namespace": ["docs"], "key": "k", "value": {"text": "abc"}}
            assert (await ask(api, {}, "PUT items", **item)).status_code == 204
            assert len(await keys(api, {}, query="abc")) == 1
            await ask(api, {}, "DELETE items", **item)
            named = await api.http.put("/store/items?agent=aaa", json=item)
            assert named.status_code == 204
            assert await keys(api, {}, query="abc") == []  # nobody has embedded it
            sdk = get_client(url=api.url, api_key=None)
            assert (await sdk.store.get_item(["docs"], key="k", params={"agent": "aaa"}))["key"] == "k"
            await sdk.aclose()
            unknown = await api.http.put("/store/items?agent=bbb", json=item)
            assert (unknown.status_code, "use one of aaa, default" in unknown.json()["detail"]) == (404, True)
            # Another's runner would embed nothing, and nobody would see it.
            place.list((url_of(other), "aaa"))
            away = await ask(api, {}, "PUT items", **item)
            assert (away.status_code, "agent default" in away.json()["detail"]) == (503, True)
            place.list((url_of(runner), "default"))
