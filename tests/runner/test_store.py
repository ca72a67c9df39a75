"""LangGraph's tables and the store: set up once, checked at start, with a vector index where one is configured."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from relayrun_runner.config.load import load_config
from relayrun_runner.config.model import IndexConfig, StoreConfig
from relayrun_runner.errors import ConfigError, StoreUnavailable
from relayrun_runner.langgraph_tables import check, setup
from relayrun_runner.store.vectors import load_embedding, open_store
from tests.runner.processes import runner_process, write_agent
from tests.runner.runs import accepted
from tests.support.postgres import fresh_database

INDEX = IndexConfig(dims=3, embed="./embed.py:embed", fields=["text"])
EMBED = """
async def embed(texts):
    return [[float(text.count(letter)) + 0.1 for letter in "abc"] for text in texts]
"""
AGENT = """
from typing import TypedDict
from langgraph.config import get_store
from langgraph.graph import START, StateGraph
from langgraph.store.base import BaseStore

class State(TypedDict, total=False):
    found: list[str]
    sync: list[str]

async def remember(state: State, *, store: BaseStore) -> State:
    for key, text in (("1", "aaa"), ("2", "bbb"), ("3", "ccc")):
        await store.aput(("docs",), key, {"text": text})
    return {"found": [item.key for item in await store.asearch(("docs",), query="bb", limit=2)][:1]}

def recall(state: State) -> State:
    return {"sync": [get_store().get(("docs",), "3").value["text"]]}

graph = StateGraph(State).add_sequence([remember, recall]).add_edge(START, "remember")
"""


async def connect(url: str) -> psycopg.AsyncConnection[dict[str, object]]:
    return await psycopg.AsyncConnection.connect(url, autocommit=True, row_factory=dict_row)


async def test_several_setups_at_once_on_an_empty_database_make_its_tables_once(postgres: EmbeddedPostgres) -> None:
    async with fresh_database(postgres, template="template1") as url, await connect(url) as conn:
        sentence = await check(conn)
        assert sentence is not None
        assert sentence.startswith("the database is at number -1 of checkpoint_migrations")
        await asyncio.gather(*(setup(url, StoreConfig(index=INDEX)) for _ in range(3)))
        assert await check(conn, StoreConfig(index=INDEX)) is None
        await setup(url, StoreConfig(index=INDEX))


async def test_a_missing_or_different_vector_index_is_told(database_url: str) -> None:
    async with await connect(database_url) as conn:
        assert await check(conn) is None
        sentence = await check(conn, StoreConfig(index=INDEX))
        assert sentence is not None
        assert "vector_migrations" in sentence
        await setup(database_url, StoreConfig(index=INDEX))
        longer = StoreConfig(index=INDEX.model_copy(update={"dims": 4}))
        sentence = await check(conn, longer)
        assert sentence is not None
        assert "store.index.dims is 4 and the database holds vectors of 3 numbers" in sentence
        with pytest.raises(StoreUnavailable, match=r"store.index.dims is 4"):
            await setup(database_url, longer)


async def test_vectors_too_long_for_an_index_are_kept_without_one(database_url: str) -> None:
    long = StoreConfig(index=INDEX.model_copy(update={"dims": 3072}))
    await setup(database_url, long)
    async with await connect(database_url) as conn:
        assert await check(conn, long) is None
        rows = await (await conn.execute("SELECT 1 FROM pg_indexes WHERE indexname LIKE '%embedding_idx'")).fetchall()
        assert rows == []


async def test_nodes_use_the_store_and_search_it_by_meaning(
    tmp_path: Path, database_url: str, database: Database
) -> None:
    await setup(database_url, StoreConfig(index=INDEX))
    config = write_agent(tmp_path / "store", AGENT, store={"index": INDEX.model_dump(exclude_none=True)})
    (config.parent / "embed.py").write_text(EMBED)
    run_id = await accepted(database, "agent", input={})
    async with runner_process(config, database_url) as runner:
        await runner.wait_ready()
        await runner.put(run_id)
        entry = await runner.wait_state(run_id, "Finished")
        assert entry["outcome"]["status"] == "success", runner.log()
    row = await database.fetch_one(
        "SELECT values FROM threads t JOIN runs r USING (thread_id) WHERE run_id = %s", (run_id,)
    )
    assert row is not None
    assert row["values"] == {"found": ["2"], "sync": ["ccc"]}


async def test_the_store_waits_while_the_database_is_away(tmp_path: Path, database_url: str) -> None:
    config = load_config(write_agent(tmp_path / "patient", AGENT))
    async with open_store(database_url, config) as store, await connect(database_url) as conn:
        await store.aput(("a",), "key", {"n": 1})
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        item = await store.aget(("a",), "key")
        assert item is not None
        assert item.value == {"n": 1}


EMBEDDINGS = pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        ("nobody:text-embedding-3-small", StoreUnavailable, "'nobody:text-embedding-3-small' did not load"),
        ("openai:text-embedding-3-small", StoreUnavailable, "OPENAI_API_KEY"),
        ("./embed.py:missing", ConfigError, "store.index.embed: ./embed.py has no 'missing'"),
        ("./leaving.py:embed", StoreUnavailable, "'./leaving.py:embed' did not load: SystemExit: 3"),
        ("./embed.py:number", ConfigError, "is neither a function nor an Embeddings object"),
    ],
)


def test_an_embedding_by_name_needs_langchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    config = load_config(write_agent(tmp_path / "embed", AGENT))
    with pytest.raises(StoreUnavailable, match="needs LangChain: install langchain"):
        load_embedding(config, "openai:text-embedding-3-small")


@EMBEDDINGS
def test_an_embedding_that_can_not_be_loaded_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: type[Exception], sentence: str
) -> None:
    config = load_config(write_agent(tmp_path / "embed", AGENT))
    (config.folder / "embed.py").write_text("number = 7\n")
    (config.folder / "leaving.py").write_text("raise SystemExit(3)\n")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(error) as caught:
        load_embedding(config, name)
    assert sentence in str(caught.value)
