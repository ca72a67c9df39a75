"""Private names of libraries are used in few modules, each with a reason; those libraries have an upper bound."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import uvloop
from packaging.requirements import Requirement
from psycopg_pool import AsyncConnectionPool

REPOSITORY = Path(__file__).parents[2]
PARTS = ("core", "operator", "api", "runner", "cli")

#: Where something private of which distribution is used. The modules say why.
USED = {
    "core/relayrun_core/db/pool.py": "psycopg-pool",
    "operator/relayrun_operator/loop/transport.py": "aiohttp",
    "runner/relayrun_runner/langgraph_internals.py": "langgraph",
    # Asked for with `hasattr`: without it, a forked child of author code is ended a turn of its loop later.
    "runner/relayrun_runner/process/forks.py": None,
}
#: Methods of theirs that a class of ours replaces or calls as its own; `langgraph_internals` lists LangGraph's.
INHERITED = {"_cursor", "_execute_batch", "_shutdown"}
#: Private by their look only.
PUBLIC = {"_exit", "_current_frames", "_replace"}


def names_of_its_own(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))


def foreign_names(tree: ast.AST) -> set[str]:
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
    }
    imported = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("relayrun_")
        for alias in node.names
        if any(part.startswith("_") for part in (*node.module.split("."), alias.name))
    }
    imported -= {name for name in imported if name.startswith("__future__")}
    return (used | imported) - set(names_of_its_own(tree)) - INHERITED - PUBLIC


def test_private_names_are_used_where_it_is_said() -> None:
    found = {}
    for part in PARTS:
        for file in (REPOSITORY / part).glob(f"relayrun*_{part}/**/*.py"):
            if names := foreign_names(ast.parse(file.read_text())):
                found[str(file.relative_to(REPOSITORY))] = names
    # A type that uvicorn gives no public name to, for the type checker alone.
    assert found.pop("core/relayrun_core/http_timeouts.py", None) == {"uvicorn._types.ASGISendEvent"}
    assert set(found) == set(USED), found


@pytest.mark.parametrize(("module", "library"), USED.items(), ids=map(str, USED.values()))
def test_such_a_library_has_an_upper_bound(module: str, library: str | None) -> None:
    part = module.partition("/")[0]
    project = tomllib.loads((REPOSITORY / part / "pyproject.toml").read_text())["project"]
    bounds = {wanted.name: wanted.specifier for wanted in map(Requirement, project["dependencies"])}
    wanted = [name for name in bounds if library and name.startswith(library)]
    assert bool(wanted) == bool(library)
    for name in wanted:
        assert any(bound.operator == "<" for bound in bounds[name]), name


def test_the_pool_has_what_ours_replaces() -> None:
    for name in (
        "_check_pool_putconn",
        "_get_ready_connection",
        "_maybe_grow_pool",
        "_add_to_pool",
        "_REQUESTS_QUEUED",
    ):
        assert hasattr(AsyncConnectionPool, name), name


async def test_a_session_of_aiohttp_can_be_told_to_repeat_nothing() -> None:
    async with aiohttp.ClientSession() as session:
        assert session._retry_connection is True


def test_a_loop_of_uvloop_says_what_it_waits_with() -> None:
    loop = uvloop.new_event_loop()
    try:
        assert loop._get_backend_id() > 0
    finally:
        loop.close()
