"""What an assistant's graph looks like and what its runs get, with a real runner behind the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import InternalServerError, NotFoundError, UnprocessableEntityError
from langgraph_sdk.schema import Run as LangGraphRun
from pydantic import SecretStr

from relayrun_api.settings import ApiSettings
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.ids import default_assistant_id
from tests.api.conftest import serving
from tests.runner.processes import TOKEN, RunnerProcess, runner_process, write_agent
from tests.support.postgres import fresh_database
from tests.support.waiting import until

CODE = """
import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime


class State(TypedDict, total=False):
    seen: dict[str, Any]
    gate: str


@dataclass
class Context:
    model: str = "none"


async def look(state: State, config: RunnableConfig, runtime: Runtime[Context]) -> State:
    if gate := state.get("gate"):
        Path(gate + ".entered").touch()
        while not Path(gate).exists():
            await asyncio.sleep(0.02)
    model = runtime.context.model if runtime.context else None
    return {"seen": {"model": model, "tags": config.get("tags"), "configurable": config["configurable"].get("n")}}


def line(*nodes: tuple[str, Any], **options: Any) -> Any:
    builder, last = StateGraph(State, **options), START
    for name, node in nodes:
        builder.add_node(name, node).add_edge(last, name)
        last = name
    return builder.compile()


leaf = line(("deep", look))
middle = line(("leaf", leaf), ("side", look))
nested = line(("first", look), ("middle", middle))
typed = line(("look", look), context_schema=Context)


def factory(config: RunnableConfig) -> Any:
    given = config["configurable"]
    if given.get("broken"):
        raise ValueError("not with this one")
    nodes = [(f"n{i}", look) for i in range(given.get("nodes", 1))]
    return line(*nodes, *([("sub", leaf)] if given.get("sub") else []))
"""


@dataclass(frozen=True)
class Stage:
    """An API, a runner that it can ask, and the file that lists it."""

    sdk: LangGraphClient
    http: httpx.AsyncClient
    runner: RunnerProcess
    runners_file: Path


@pytest.fixture(scope="module")
async def stage(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("drawn")
    graphs = {name: f"./agent.py:{name}" for name in ("nested", "typed", "factory")}
    listed = folder / "runners.json"
    async with (
        fresh_database(postgres) as url,
        runner_process(write_agent(folder / "agent", CODE, graphs=graphs), url) as runner,
    ):
        await runner.wait_ready()
        entry = {"name": "r", "url": str(runner.client.base_url), "agent": "default", "graphs": list(graphs)}
        listed.write_bytes(orjson.dumps({"runners": [entry]}))
        settings = ApiSettings(database_url=url, auth="none", runners_file=listed, runner_token=SecretStr(TOKEN))
        async with serving(settings) as (_, _, base), httpx.AsyncClient(base_url=base, timeout=20) as http:
            sdk = get_client(url=base, api_key=None)
            yield Stage(sdk, http, runner, listed)
            await sdk.aclose()


def nodes_of(drawing: dict[str, list[dict[str, Any]]]) -> list[str]:
    return sorted(node["id"] for node in drawing["nodes"] if not node["id"].startswith("__"))


async def placed(stage: Stage, assistant_id: str, values: dict[str, Any], **given: Any) -> LangGraphRun:
    """A run that the runner has taken."""
    run = await stage.sdk.runs.create(None, assistant_id, input=values, **given)
    assert (await stage.runner.put(UUID(run["run_id"]))).status_code == 202
    return run


async def test_a_graph_is_drawn_as_deep_as_is_asked(stage: Stage) -> None:
    graph = stage.sdk.assistants.get_graph
    nested = str(default_assistant_id("nested"))
    plain = await graph(nested)
    assert plain["nodes"][0] == {"id": "__start__", "type": "runnable", "data": {"name": "__start__"}}
    assert {"source": "first", "target": "middle"} in plain["edges"]
    assert nodes_of(plain) == ["first", "middle"]
    assert nodes_of(await graph(nested, xray=1)) == ["first", "middle:leaf", "middle:side"]
    assert nodes_of(await graph(nested, xray=2)) == ["first", "middle:leaf:deep", "middle:side"]
    assert await graph(nested, xray=True) == await graph(nested, xray=2)


async def test_subgraphs_are_told_by_their_namespaces(stage: Stage) -> None:
    subgraphs = stage.sdk.assistants.get_subgraphs
    assert list(await subgraphs("nested")) == ["middle"]
    deep = await subgraphs("nested", recurse=True)
    assert list(deep) == ["middle", "middle|leaf"]
    kinds = ["input_schema", "output_schema", "state_schema", "config_schema", "context_schema"]
    assert list(deep["middle|leaf"]) == kinds
    assert set(deep["middle|leaf"]["input_schema"]["properties"]) == {"seen", "gate"}
    assert list(await subgraphs("nested", "middle")) == ["middle"]
    assert list(await subgraphs("nested", "middle|leaf", recurse=True)) == ["middle|leaf"]
    assert await subgraphs("nested", "outer") == {}
    assert await subgraphs("typed") == {}


async def test_a_factorys_graph_is_the_assistants(stage: Stage) -> None:
    client = stage.sdk.assistants
    assert nodes_of(await client.get_graph("factory")) == ["n0"]
    made = await client.create("factory", {"configurable": {"nodes": 2, "sub": True}})
    assert nodes_of(await client.get_graph(made["assistant_id"])) == ["n0", "n1", "sub"]
    assert nodes_of(await client.get_graph(made["assistant_id"], xray=True)) == ["n0", "n1", "sub:deep"]
    assert list(await client.get_subgraphs(made["assistant_id"])) == ["sub"]
    assert (await client.get_schemas(made["assistant_id"]))["graph_id"] == "factory"
    broken = await client.create("factory", {"configurable": {"broken": True}})
    for call in (client.get_graph, client.get_schemas, client.get_subgraphs):
        with pytest.raises(UnprocessableEntityError, match="not with this one"):
            await call(broken["assistant_id"])


async def test_a_context_schema_is_the_config_schema_too(stage: Stage) -> None:
    schemas = await stage.sdk.assistants.get_schemas("typed")
    expected = {"model": {"default": "none", "title": "Model", "type": "string"}}
    assert schemas["config_schema"] == schemas["context_schema"]
    assert schemas["context_schema"] == {"properties": expected, "title": "Context", "type": "object"}


async def test_nodes_see_what_the_assistant_and_the_run_say(stage: Stage) -> None:
    made = await stage.sdk.assistants.create("typed", {"tags": ["t"], "configurable": {"model": "a", "n": 1}})

    async def seen(assistant_id: str, **given: Any) -> Any:
        run = await placed(stage, assistant_id, {"seen": {}}, **given)
        values = await stage.sdk.runs.join(run["thread_id"], run["run_id"])
        assert isinstance(values, dict)
        return values["seen"]

    assert await seen("typed") == {"model": "none", "tags": None, "configurable": None}
    assert await seen(made["assistant_id"]) == {"model": "a", "tags": ["t"], "configurable": 1}
    assert await seen(made["assistant_id"], context={"model": "b"}) == {"model": "b", "tags": ["t"], "configurable": 1}
    configured = {"tags": ["u"], "configurable": {"n": 2}}
    assert await seen(made["assistant_id"], config=configured) == {"model": "a", "tags": ["u"], "configurable": 2}


async def test_a_runner_goes_on_when_a_thread_is_forgotten_below_its_run(stage: Stage, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    made = await stage.sdk.assistants.create("typed")
    run = await placed(stage, made["assistant_id"], {"gate": str(gate)})
    kept = await placed(stage, "typed", {"gate": str(gate)})
    await until(gate.with_name("gate.entered").exists)
    await stage.sdk.assistants.delete(made["assistant_id"], delete_threads=True)
    with pytest.raises(NotFoundError):
        await stage.sdk.threads.get(run["thread_id"])
    # As the world does once it hears of the cancel: the attempt's last words find no run.
    assert (await stage.runner.delete(UUID(run["run_id"]))).is_success
    await stage.runner.wait_state(UUID(run["run_id"]), "Abandoned")
    gate.touch()
    await stage.runner.wait_state(UUID(kept["run_id"]), "Finished")


async def test_without_a_runner_a_graph_is_as_it_was_registered(stage: Stage) -> None:
    client, listing = stage.sdk.assistants, stage.runners_file.read_bytes()
    made = await client.create("factory", {"configurable": {"nodes": 2}})
    with_runner = [await client.get_graph("nested"), await client.get_graph("nested", xray=True)]
    deep = await client.get_subgraphs("nested", recurse=True)
    stage.runners_file.write_bytes(orjson.dumps({"runners": []}))
    try:
        assert [await client.get_graph("nested"), await client.get_graph("nested", xray=True)] == with_runner
        assert await client.get_subgraphs("nested", recurse=True) == deep
        assert list(await client.get_subgraphs("nested", "middle")) == ["middle"]
        assert nodes_of(await client.get_graph(made["assistant_id"])) == ["n0"]
        assert (await client.get_schemas("typed"))["context_schema"]["title"] == "Context"
        with pytest.raises(InternalServerError):  # 503
            await client.get_graph("nested", xray=1)
    finally:
        stage.runners_file.write_bytes(listing)
