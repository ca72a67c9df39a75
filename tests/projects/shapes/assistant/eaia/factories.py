from contextlib import asynccontextmanager
from typing import TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph_sdk.runtime import ServerRuntime


class State(TypedDict, total=False):
    said: str


def _saying(word: str):
    return StateGraph(State).add_node("say", lambda state: {"said": word}).add_edge("__start__", "say").compile()


def by_config(config: RunnableConfig):
    return _saying(config["configurable"].get("word", "no word"))


async def awaited(config: RunnableConfig):
    return _saying(f"awaited {config['configurable'].get('word', 'no word')}")


@asynccontextmanager
async def opened(config: RunnableConfig):
    resource = ["open"]
    yield _saying(f"{resource[0]} {config['configurable'].get('word', 'no word')}")
    resource.clear()


async def by_runtime(runtime: ServerRuntime):
    return _saying("executing" if runtime.execution_runtime else "reading")
