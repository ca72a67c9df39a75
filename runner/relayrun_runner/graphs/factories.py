"""Graph factories: functions of the author that make a graph, called as the LangGraph Agent Server calls them.

A factory takes nothing, the run's config, a `ServerRuntime`, or both; it returns a graph, an awaitable of one, or a
context manager, sync or async.
"""

import inspect
import typing
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal

from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from pydantic import BaseModel

from relayrun_runner.langgraph_internals import execution_runtime, read_runtime

Access = Literal["threads.create_run", "threads.update", "threads.read", "assistants.read"]


class NotAGraph(TypeError):
    """What the author's name refers to is not a graph and does not make one."""


@dataclass(frozen=True)
class Call:
    """Why a factory is called, and with what."""

    config: RunnableConfig
    access: Access
    store: BaseStore | None = None
    context: Any = None


@dataclass(frozen=True)
class Factory:
    """A function that makes a graph. `wants` maps its parameters to what they take.

    `context_type` is the X of a parameter `ServerRuntime[X]`.
    """

    function: Callable[..., Any]
    wants: Mapping[str, Literal["config", "runtime"]]
    context_type: Any = None

    @property
    def per_run(self) -> bool:
        """Whether its graph may differ from run to run."""
        return bool(self.wants)

    @asynccontextmanager
    async def open(self, call: Call) -> AsyncIterator[Pregel[Any, Any, Any, Any]]:
        """The graph it makes for this call; what it opened is closed with the block."""
        runtime = _server_runtime(call, self.context_type) if "runtime" in self.wants.values() else None
        given = {"config": call.config, "runtime": runtime}
        made = self.function(**{name: given[kind] for name, kind in self.wants.items()})
        if inspect.isawaitable(made):
            made = await made
        if isinstance(made, AbstractAsyncContextManager):
            async with made as graph:
                yield compiled(graph)
        elif isinstance(made, AbstractContextManager):
            with made as graph:
                yield compiled(graph)
        else:
            yield compiled(made)


def compiled(value: Any) -> Pregel[Any, Any, Any, Any]:
    """A compiled graph, from one or from its builder. Raises NotAGraph."""
    if isinstance(value, StateGraph):
        return value.compile()
    if isinstance(value, Pregel):
        return value
    raise NotAGraph(f"it is a {type(value).__name__}, neither a graph nor a function that makes one")


def factory(function: Callable[..., Any]) -> Factory:
    """Find out what a factory takes. Raises NotAGraph when it takes something else."""
    hints = _hints(function)
    wants: dict[str, Literal["config", "runtime"]] = {}
    context_type: Any = None
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        kind = _kind(name, hints.get(name, parameter.annotation))
        if kind is None and parameter.default is parameter.empty:
            kind = "config" if "config" not in wants.values() else None
        if kind is None and parameter.default is parameter.empty:
            raise NotAGraph(f"it is a function with a parameter {name!r}; a factory takes config, runtime or nothing")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise NotAGraph(f"its parameter {name!r} is positional only; remove the slash")
        if kind is not None:
            wants[name] = kind
        if kind == "runtime" and (arguments := typing.get_args(hints.get(name))):
            context_type = arguments[0]
    return Factory(function, wants, context_type)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except BaseException:  # noqa: BLE001 - an annotation that only a type checker can resolve is no reason to fail
        return {}


def _kind(name: str, annotation: Any) -> Literal["config", "runtime"] | None:
    text = annotation if isinstance(annotation, str) else f"{annotation!r} {getattr(annotation, '__name__', '')}"
    if name == "runtime" or "ServerRuntime" in text or "_ExecutionRuntime" in text:
        return "runtime"
    if name == "config" or "RunnableConfig" in text:
        return "config"
    return None


def _server_runtime(call: Call, context_type: Any) -> Any:
    user = (call.config.get("configurable") or {}).get("langgraph_auth_user")
    store: Any = call.store
    if call.access == "threads.create_run":
        context = _typed_context(context_type, call.context)
        return execution_runtime(access_context=call.access, user=user, store=store, context=context)
    return read_runtime(access_context=call.access, user=user, store=store)


def _typed_context(context_type: Any, context: Any) -> Any:
    # As LangGraph does for nodes: a dataclass or pydantic model from the run's JSON, anything else as it came.
    is_class = inspect.isclass(context_type) and (is_dataclass(context_type) or issubclass(context_type, BaseModel))
    return context_type(**context) if is_class and isinstance(context, Mapping) else context
