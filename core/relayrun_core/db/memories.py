"""The long-term memory: whose a namespace is, and which agents' runners keep a vector index. The items themselves are
LangGraph's tables.
"""

from relayrun_core.database import Database

#: A namespace is the caller's whose id is among this many of its first labels: `(user, …)` and `("memories", user, …)`.
#: Not in any place: what somebody puts below another's namespace would be found by a node that searches there.
OWNER_LABELS = 2

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
