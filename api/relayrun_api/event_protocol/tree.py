"""The tree of a run's graphs, as the event protocol's command `agent.getTree` is told it."""

from typing import Any

from relayrun_api.event_protocol.events import ChannelFilter, Namespace
from relayrun_api.event_protocol.run_state import ProtocolRun
from relayrun_api.event_protocol.translator import ProtocolTranslator
from relayrun_api.http.responses import loads
from relayrun_core.database import Database
from relayrun_core.db.journal import read_page
from relayrun_core.runs import Run


async def tree_of(database: Database, run: Run) -> dict[str, Any]:
    """The run and its subgraphs as they are now, as its lifecycle events tell it."""
    known = ProtocolRun.of(run)
    translator = ProtocolTranslator(known, ChannelFilter(frozenset(("lifecycle",))))
    nodes: dict[Namespace, dict[str, Any]] = {(): {"namespace": [], "status": "started", "graph_name": known.graph}}
    after = -1
    while page := await read_page(database, run.run_id, after):
        for event in page.events:
            for translated in translator.translate(event):
                data = loads(translated.data)
                node = nodes.setdefault(
                    translated.namespace, {"namespace": list(translated.namespace), "graph_name": ""}
                )
                node |= {"status": data["event"], "graph_name": data.get("graph_name") or node["graph_name"]}
        after = page.events[-1].seq
    for namespace in sorted(nodes, key=len, reverse=True)[:-1]:
        parent = next(namespace[:length] for length in range(len(namespace) - 1, -1, -1) if namespace[:length] in nodes)
        nodes[parent].setdefault("children", []).insert(0, nodes[namespace])
    return nodes[()]
