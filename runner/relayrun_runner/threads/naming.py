"""Which graph a thread's state is of, and with which config its factory is asked for it."""

from uuid import UUID

from langchain_core.runnables import RunnableConfig

from relayrun_core.database import Database
from relayrun_core.db.threads import assistants_configurable, get_thread
from relayrun_core.errors import ThreadNotFound
from relayrun_runner.errors import InvalidState
from relayrun_runner.graphs import GraphRegistry
from relayrun_runner.threads.bodies import Place


async def graph_name(database: Database, registry: GraphRegistry, thread_id: UUID, place: Place) -> str:
    """The one asked for, else what the thread has run, else the only one. Raises ThreadNotFound, InvalidState."""
    thread = await get_thread(database, thread_id)
    if thread is None:
        raise ThreadNotFound(f"thread {thread_id} does not exist")
    if name := place.graph or thread.graph:
        return name
    if len(registry.names) == 1:
        return registry.names[0]
    names = ", ".join(registry.names)
    raise InvalidState(f"thread {thread_id} has had no run: say which graph it is for, one of {names}")


async def factory_config(
    database: Database, registry: GraphRegistry, name: str, thread_id: UUID, place: Place
) -> RunnableConfig:
    """The config to open the thread's graph with: what its assistants say, and the place.

    A run's own `configurable` is not in it, as in the Agent Server.
    """
    config = place.config(thread_id)
    if not registry.is_made_per_run(name):
        return config
    configurable = await assistants_configurable(database, thread_id)
    return {"configurable": {**configurable, "graph_id": name, **config["configurable"]}}
