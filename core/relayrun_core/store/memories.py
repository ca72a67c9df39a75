"""Which agents' runners keep the long-term memory with a vector index. The items themselves are LangGraph's tables."""

from relayrun_core.database import Database

_REGISTER = """
INSERT INTO agent_stores (agent, indexed) VALUES (%s, %s)
ON CONFLICT (agent) DO UPDATE SET indexed = EXCLUDED.indexed, registered_at = now()"""
_INDEXED = "SELECT agent FROM agent_stores WHERE indexed"


async def register_store(database: Database, *, agent: str, indexed: bool) -> None:
    """Note whether an agent's runners embed what they store; saying it again updates it."""
    await database.execute(_REGISTER, (agent, indexed))


async def indexed_agents(database: Database) -> frozenset[str]:
    """The agents whose runners embed what they store."""
    return frozenset(row["agent"] for row in await database.fetch_all(_INDEXED))
