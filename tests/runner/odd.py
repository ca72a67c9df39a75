"""An agent whose code ends as its input says, in any place that author code is called from."""

from __future__ import annotations

from pathlib import Path

from tests.runner.processes import write_agent

ODD = """
import asyncio, os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.callbacks.manager import adispatch_custom_event
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphDrained
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy
from langgraph_sdk import Auth
from relayrun_core.errors import StaleAttempt


class Odd(BaseException): ...


class Shy(Exception):
    def __getattribute__(self, name):
        raise SystemExit(f"asked for {name}")


class Mute(BaseException):
    def __str__(self):
        raise SystemExit("in __str__")


def raised(how):
    match how:
        case "exit": sys.exit(2)               # as argparse does in an author's tool
        case "interrupt": raise KeyboardInterrupt
        case "odd": raise Odd("not an Exception")
        case "mute": raise Mute
        case "generator": raise GeneratorExit
        case "cancelled": raise asyncio.CancelledError
        case "group": raise BaseExceptionGroup("several", [SystemExit(3), ValueError("x")])
        case "ring":
            error = ValueError("its own cause")
            error.__cause__ = error
            raise error
        case "memory": raise MemoryError("no more")
        case "drained": raise GraphDrained("by nobody")
        case "stale": raise StaleAttempt("says the author")
        case "deep":
            error = ValueError("the innermost")
            for _ in range(3000):
                error = ExceptionGroup("several", [error])
            raise error
        case "shy": raise Shy
        case "recursion": return raised(how)


class Loud:
    def __init__(self, how): self.how = how
    def model_dump(self, **_): raised(self.how)
    def __repr__(self): raised(self.how)


class Dying:
    def __init__(self, how): self.how = how
    def __del__(self): raised(self.how)


class Listening(BaseCallbackHandler):
    raise_error = True
    def __init__(self, how): self.how = how
    def on_custom_event(self, name, data, **_): raised(self.how)


def reduced(_: Any, how: Any) -> list:
    raised(how)
    return []


class State(TypedDict, total=False):
    how: str
    gate: str
    value: Any
    reduced: Annotated[list, reduced]


def sync(state: State) -> State:
    raised(state["how"])
    return {"value": "went on"}


async def later(how):
    await asyncio.sleep(0)
    raised(how)


async def plain(state: State) -> State:
    raised(state["how"])
    return {"value": "went on"}


async def awaiting(state: State) -> State:
    await asyncio.create_task(later(state["how"]))


async def gathering(state: State) -> State:
    await asyncio.gather(later(state["how"]), asyncio.sleep(3600))


async def group(state: State) -> State:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(later(state["how"]))
        tasks.create_task(asyncio.sleep(3600))


def writes(state: State) -> State:
    return {"reduced": state["how"]}


def returns(state: State) -> State:
    return {"value": Loud(state["how"])}


async def streams(state: State, writer=None) -> State:
    from langgraph.config import get_stream_writer
    get_stream_writer()(Loud(state["how"]))


async def cancels_itself(state: State) -> State:
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


async def calls_back(state: State, config: RunnableConfig) -> State:
    config["callbacks"].add_handler(Listening(state["how"]))
    await adispatch_custom_event("odd", {}, config=config)


kept = []


async def leaves(state: State) -> State:
    # All that goes on beside the run, or after it, and is nobody's error.
    how, loop = state["how"], asyncio.get_running_loop()
    kept.append(asyncio.create_task(later(how)))
    loop.call_soon(raised, how)
    loop.call_later(0.01, raised, how)
    loop.call_soon_threadsafe(raised, how)
    read, write = os.pipe()
    loop.add_reader(read, lambda: (loop.remove_reader(read), raised(how)))
    os.write(write, b"x")
    threads = [threading.Thread(target=raised, args=[how])]
    threads[0].start()
    await asyncio.to_thread(threads[0].join)
    Dying(how)
    loop.stop()
    await asyncio.sleep(0.05)
    asyncio.get_event_loop().stop()
    signal.signal(signal.SIGALRM, lambda *_: raised(how))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    return {"value": "went on"}


async def closes(state: State) -> State:
    asyncio.get_running_loop().close()


async def own_threads(state: State) -> State:
    with ThreadPoolExecutor(1) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        return {"value": await asyncio.to_thread(str, "from a thread")}


async def stopped_clocks(state: State) -> State:
    time.time = time.monotonic = lambda: 0.0
    return {"value": "went on"}


async def takes_signals(state: State) -> State:
    nothing = lambda *_: None
    signal.signal(signal.SIGTERM, nothing)
    signal.signal(signal.SIGINT, nothing)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, nothing)
    return {"value": "went on"}


def segfault(state: State) -> State:
    import ctypes
    ctypes.string_at(0)


def c_stack(state: State) -> State:
    import ctypes
    sys.setrecursionlimit(10**9)
    value = None
    for _ in range(10**7):
        value = [value]
    import pickle
    repr(value)


def exits(state: State) -> State:
    os._exit(0)


def killed(state: State) -> State:
    os.kill(os.getpid(), signal.SIGKILL)


def closed_descriptors(state: State) -> State:
    os.closerange(3, 4096)
    time.sleep(3600)


async def cancels_all(state: State) -> State:
    for task in asyncio.all_tasks():
        task.cancel()


async def closes_pool(state: State, *, store: Any = None) -> State:
    from langgraph.config import get_store
    await get_store().conn.close()
    await asyncio.sleep(3600)


async def closes_threads(state: State) -> State:
    await asyncio.get_running_loop().shutdown_default_executor()
    await asyncio.sleep(3600)


def forks(state: State) -> State:
    os.fork()
    return {"value": "went on"}


async def forks_in_the_loop(state: State) -> State:
    if os.fork() == 0:
        await asyncio.sleep(0)      # the child goes on in the loop that it has inherited
        await asyncio.sleep(3600)
    return {"value": "went on"}


async def fine(state: State) -> State:
    while state.get("gate") and not Path(state["gate"]).exists():
        await asyncio.sleep(0.02)
    return {"value": "fine"}


def graph_of(node, **options):
    return StateGraph(State).add_node("node", node, **options).add_edge(START, "node").compile()


def below(node):
    return StateGraph(State).add_node("above", graph_of(node)).add_edge(START, "above").compile()


nodes = [
    sync, plain, awaiting, gathering, group, writes, returns, streams, cancels_itself, calls_back, leaves, closes,
    own_threads, stopped_clocks, takes_signals, segfault, c_stack, exits, killed, closed_descriptors, cancels_all,
    closes_pool, closes_threads, forks, forks_in_the_loop, fine,
]
graphs = {node.__name__: graph_of(node) for node in nodes}
globals().update({f"{name}_graph": graph for name, graph in graphs.items()})
below_graph = below(plain)
retried_graph = graph_of(sync, retry_policy=RetryPolicy(max_attempts=5, initial_interval=0.01, retry_on=Exception))


async def made_graph(config):
    raised(config["configurable"].get("how"))
    if config["configurable"].get("how") == "itself":
        asyncio.current_task().cancel()
        await asyncio.sleep(0)
    return graphs["fine"]


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raised("exit")                         # the last thing that is heard of it
    how = scope["path"].rpartition("/")[2]
    kept.append(asyncio.create_task(later(how)))
    if how == "itself":
        asyncio.current_task().cancel()
        await asyncio.sleep(0)
    await later(how)


auth = Auth()


@auth.authenticate
async def who(path):
    how = path.rpartition("/")[2]
    kept.append(asyncio.create_task(later(how)))
    asyncio.get_running_loop().call_soon(raised, how)
    if how == "itself":
        asyncio.current_task().cancel()
        await asyncio.sleep(0)
    if path.startswith("/who"):
        await later(how)
    return "me"


@auth.on
async def anything(ctx, value):
    await later(value["how"])
"""


def write_odd(folder: Path) -> Path:
    """Its `langgraph.json`: each node is a graph of its own."""
    nodes = ODD[ODD.index("nodes = [") : ODD.index("graphs = {")]
    names = [name for name in nodes.replace("nodes = [", "").replace("]", "").replace(",", " ").split() if name]
    graphs = {name: f"./agent.py:{name}_graph" for name in (*names, "below", "retried", "made")}
    return write_agent(folder, ODD, graphs=graphs, http={"app": "./agent.py:app"}, auth={"path": "./agent.py:auth"})
