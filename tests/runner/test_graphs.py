"""Loading graphs: every form that a `langgraph.json` may name, and what is said about those that fail."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.pregel import Pregel

from relayrun_core.errors import StaleAttempt
from relayrun_runner.author_errors import is_raised_by_us
from relayrun_runner.config.load import load_config
from relayrun_runner.errors import GraphLoadError, UnknownGraph
from relayrun_runner.graphs.loading import GraphRegistry
from tests.runner.processes import write_agent

FORMS = """
from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph_sdk.runtime import ServerRuntime

calls: list[str] = []


class State(TypedDict):
    text: str


@dataclass
class Context:
    who: str


def node(state: State) -> State:
    return {"text": "done"}


builder = StateGraph(State).add_node("node", node).add_edge(START, "node")
compiled = builder.compile()


@entrypoint()
def functional(text: str) -> str:
    return text


def nothing():
    calls.append("nothing")
    return builder


async def asynchronous():
    calls.append("asynchronous")
    return builder.compile()


@asynccontextmanager
async def held():
    calls.append("held open")
    yield compiled
    calls.append("held closed")


def with_config(config: RunnableConfig):
    calls.append(f"with_config {config['configurable'].get('who')}")
    return builder


def unannotated(cfg):
    calls.append(f"unannotated {sorted(cfg)}")
    return builder


@contextmanager
def managed(config: RunnableConfig):
    calls.append("managed open")
    yield compiled
    calls.append("managed closed")


@asynccontextmanager
async def with_runtime(config: RunnableConfig, runtime: ServerRuntime[Context]):
    if execution := runtime.execution_runtime:
        calls.append(f"{runtime.access_context} {execution.context.who} {runtime.store}")
    else:
        calls.append(runtime.access_context)
    yield compiled


only_partial = partial(with_config)
own = builder.compile(checkpointer=InMemorySaver())
outer = StateGraph(State).add_node("inner", own).add_edge(START, "inner").compile()
number = 7
"""
NAMES = [
    "builder", "compiled", "functional", "nothing", "asynchronous", "held", "with_config", "unannotated", "managed",
    "with_runtime", "only_partial", "own", "outer",
]  # fmt: skip


@pytest.fixture
def clean_imports() -> Iterator[None]:
    """What a test imports is forgotten behind it."""
    modules, path = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "__file__", None) and "pytest-of-" in str(sys.modules[name].__file__):
            del sys.modules[name]


def load(folder: Path, code: str, *, file: str = "forms.py", **keys: Any) -> GraphRegistry:
    return GraphRegistry.load(load_config(write_agent(folder, code, file=file, **keys)))


@pytest.fixture
def registry(tmp_path: Path, clean_imports: None) -> GraphRegistry:
    """All the forms above."""
    return load(tmp_path, FORMS, graphs={name: f"./forms.py:{name}" for name in NAMES})


def calls() -> list[str]:
    made: list[str] = sys.modules["forms"].calls  # type: ignore[attr-defined]
    found = list(made)
    made.clear()
    return found


async def test_every_form_opens_as_a_compiled_graph_that_bears_its_name(registry: GraphRegistry) -> None:
    assert registry.failures == {}
    async with registry.running():
        for name in NAMES:
            async with registry.open(name, {"configurable": {}}, context={"who": "me"}) as graph:
                assert isinstance(graph, Pregel), name
                assert graph.name == name


async def test_a_factory_without_parameters_is_called_once_and_kept_open(registry: GraphRegistry) -> None:
    assert calls() == []
    async with registry.running():
        assert calls() == ["nothing", "asynchronous", "held open"]
        for name in ("nothing", "asynchronous", "held"):
            async with registry.open(name):
                pass
        assert calls() == []
    assert calls() == ["held closed"]


async def test_a_factory_with_the_config_is_called_for_each_run_and_closed_behind_it(registry: GraphRegistry) -> None:
    async with registry.running():
        calls()
        for who in ("ann", "bob"):
            async with registry.open("with_config", {"configurable": {"who": who}}):
                pass
        async with registry.open("managed", {}):
            assert calls() == ["with_config ann", "with_config bob", "managed open"]
        assert calls() == ["managed closed"]
        async with registry.open("unannotated", {"tags": []}):
            assert calls() == ["unannotated ['tags']"]


async def test_a_factory_with_a_runtime_hears_why_it_is_called(registry: GraphRegistry) -> None:
    async with registry.running("the store"):  # type: ignore[arg-type]
        calls()
        async with registry.open("with_runtime", {}, context={"who": "ann"}):
            assert calls() == ["threads.create_run ann the store"]
        async with registry.open("with_runtime", {}, access="threads.read"):
            assert calls() == ["threads.read"]


async def test_own_checkpointers_are_told_at_load(
    tmp_path: Path, clean_imports: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "relayrun.runner"):
        load(tmp_path, FORMS, graphs={"own": "./forms.py:own", "outer": "./forms.py:outer"})
    inner = (
        "graph outer: the subgraph of node inner is compiled with its own InMemorySaver: what is saved there is"
        " not durable and not fenced; compile it without a checkpointer"
    )
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "graph own: compiled with its own InMemorySaver; Relayrun's checkpoints replace it"),
        ("WARNING", inner),
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("./forms.py:missing", "has no 'missing'; it has "),
        ("./missing.py:graph", "missing.py does not exist"),
        ("missing.module:graph", "there is no module missing.module: add its folder to dependencies"),
        ("./forms.py:number", "it is a int, neither a graph nor a function that makes one"),
        ("./broken.py:graph", "ZeroDivisionError: division by zero"),
        ("./leaving.py:graph", "SystemExit: 3"),
        ("./stopped.py:graph", "did not load: KeyboardInterrupt"),
        ("./odd.py:graph", "did not load: Odd: no Exception"),
        ("./lacking.py:graph", "ModuleNotFoundError: No module named 'not_installed'"),
    ],
)
async def test_a_graph_that_fails_is_told_and_the_others_load(
    tmp_path: Path, clean_imports: None, source: str, message: str
) -> None:
    (tmp_path / "broken.py").write_text("graph = 1 / 0\n")
    (tmp_path / "leaving.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "stopped.py").write_text("raise KeyboardInterrupt\n")
    (tmp_path / "odd.py").write_text("class Odd(BaseException): ...\nraise Odd('no Exception')\n")
    (tmp_path / "lacking.py").write_text("import not_installed\n")
    registry = load(tmp_path, FORMS, graphs={"good": "./forms.py:builder", "bad": source})
    assert list(registry.failures) == ["bad"]
    assert message in registry.failures["bad"].message
    in_their_code = source not in (
        "./forms.py:missing",
        "./missing.py:graph",
        "missing.module:graph",
        "./forms.py:number",
    )
    assert (registry.failures["bad"].traceback is not None) == in_their_code
    async with registry.open("good"):
        pass
    with pytest.raises(GraphLoadError, match="graph bad: "):
        async with registry.open("bad"):
            pass
    with pytest.raises(UnknownGraph, match="no graph 'other'; it has good, bad"):
        async with registry.open("other"):
            pass


@pytest.mark.parametrize("name", ["RuntimeError", "SystemExit", "KeyboardInterrupt", "GeneratorExit"])
async def test_a_factory_that_fails_at_start_is_a_failure_of_its_graph(
    tmp_path: Path, clean_imports: None, name: str
) -> None:
    code = f"async def graph():\n    raise {name}('no model')\n"
    registry = load(tmp_path, code, file="failing.py")
    assert registry.failures == {}
    async with registry.running():
        assert f"{name}: no model" in registry.failures["agent"].message


def test_a_file_is_imported_under_its_own_name_once(tmp_path: Path, clean_imports: None) -> None:
    package = tmp_path / "src" / "shop"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "state.py").write_text("from typing import TypedDict\nclass State(TypedDict):\n    text: str\n")
    code = """
        from langgraph.graph import START, StateGraph
        from .state import State
        from shop.state import State as Same
        assert State is Same
        graph = StateGraph(State).add_node("n", lambda s: s).add_edge(START, "n")
    """
    registry = load(tmp_path, code, file="src/shop/graph.py")
    assert registry.failures == {}
    assert "shop.graph" in sys.modules


def test_a_file_with_the_name_of_an_installed_module_is_still_the_one_that_loads(
    tmp_path: Path, clean_imports: None
) -> None:
    code = """
        from langgraph.graph import START, StateGraph
        graph = StateGraph(dict).add_node("n", lambda s: s).add_edge(START, "n")
    """
    registry = load(tmp_path, code, file="json.py")
    assert registry.failures == {}
    assert "relayrun_graphs.json" in sys.modules
    assert "pytest-of-" not in str(sys.modules["json"].__file__)


def test_such_a_file_is_imported_once_and_is_the_authors(tmp_path: Path, clean_imports: None) -> None:
    code = """
        from langgraph.graph import START, StateGraph
        from relayrun_core.errors import StaleAttempt
        def raises():
            raise StaleAttempt("says the author")
        graph = other = StateGraph(dict).add_node("n", lambda s: s).add_edge(START, "n")
        with open(__file__ + ".imports", "a") as file:
            file.write("1")
    """
    registry = load(tmp_path, code, file="json.py", graphs={"one": "./json.py:graph", "two": "./json.py:other"})
    assert registry.failures == {}
    assert next(tmp_path.rglob("*.imports")).read_text() == "1"
    with pytest.raises(StaleAttempt) as caught:
        sys.modules["relayrun_graphs.json"].raises()
    assert not is_raised_by_us(caught.value)


def test_only_allowed_types_come_back_from_a_checkpoint(tmp_path: Path, clean_imports: None) -> None:
    code = """
        from dataclasses import dataclass
        from langgraph.graph import START, StateGraph

        @dataclass
        class Good:
            n: int

        @dataclass
        class Bad:
            n: int

        graph = StateGraph(dict).add_node("n", lambda s: s).add_edge(START, "n")
    """
    serde = {"allowed_msgpack_modules": [["kinds_of_author", "Good"]]}
    registry = load(tmp_path, code, file="kinds_of_author.py", checkpointer={"serde": serde})
    module, serializer = sys.modules["kinds_of_author"], registry.serializer
    assert serializer.loads_typed(serializer.dumps_typed(module.Good(1))) == module.Good(1)
    assert not isinstance(serializer.loads_typed(serializer.dumps_typed(module.Bad(1))), module.Bad)
    any_type = load(tmp_path, code, file="kinds_of_author.py").serializer
    assert any_type.loads_typed(any_type.dumps_typed(module.Bad(1))) == module.Bad(1)
