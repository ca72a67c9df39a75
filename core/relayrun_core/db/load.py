"""How busy the installation is: a few counts for `/status` and `/metrics`."""

from dataclasses import dataclass

from relayrun_core.database import Database

_LOAD = """
SELECT agent, count(*) FILTER (WHERE status = 'running') AS running,
    count(*) FILTER (WHERE status = 'pending') AS queued,
    extract(epoch FROM now() - min(created_at) FILTER (WHERE status = 'pending'))::float AS oldest
FROM runs WHERE status IN ('pending', 'running') GROUP BY agent ORDER BY agent"""
_VECTOR = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"


@dataclass(frozen=True)
class AgentLoad:
    """An agent's unfinished runs. A thread has at most one running run, so `running` counts active threads."""

    agent: str
    running: int
    queued: int
    oldest_queued_seconds: float | None


async def load_by_agent(database: Database) -> list[AgentLoad]:
    """The load of every agent that has unfinished runs."""
    return [
        AgentLoad(row["agent"], row["running"], row["queued"], row["oldest"]) for row in await database.fetch_all(_LOAD)
    ]


async def vector_version(database: Database) -> str | None:
    """The version of pgvector in this database, or None."""
    row = await database.fetch_one(_VECTOR)
    return str(row["extversion"]) if row else None
