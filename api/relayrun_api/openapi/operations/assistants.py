"""Assistants."""

from relayrun_api.openapi.operation import Operation, Operations
from relayrun_api.openapi.shapes.assistants import (
    SUBGRAPHS_EXAMPLE,
    Assistant,
    AssistantVersion,
    Drawing,
    GraphSchemas,
    SubgraphSchemas,
)

_BUILT_IN = "A graph's own assistant, which has the graph's name, is changed by admins alone"

OPERATIONS: Operations = {
    ("POST", "/assistants"): Operation(
        "create_assistant",
        "A graph with configuration of yours. Send `context`, or `config.configurable`, which say the same.",
        Assistant,
        refusals=(404, 409),
    ),
    ("POST", "/assistants/search"): Operation(
        "search_assistants",
        "Yours, and the graphs' own. `X-Pagination-Total` is how many there are. With `select` an assistant has these "
        "members alone.",
        list[Assistant],
        refusals=(404,),
    ),
    ("POST", "/assistants/count"): Operation("count_assistants", "As many as a search would find.", int, 3, (404,)),
    ("GET", "/assistants/{assistant_id}"): Operation("get_assistant", "As its version in use has it.", Assistant),
    ("PATCH", "/assistants/{assistant_id}"): Operation(
        "update_assistant",
        f"`metadata` is merged, all else replaces what was; runs from now on use the new version. {_BUILT_IN}.",
        Assistant,
        refusals=(403,),
    ),
    ("DELETE", "/assistants/{assistant_id}"): Operation(
        "delete_assistant", f"Runs that have begun go on. {_BUILT_IN}, and deleted by nobody.", refusals=(403, 409)
    ),
    ("POST", "/assistants/{assistant_id}/versions"): Operation(
        "list_assistant_versions", "Versions are counted from 1 and never change.", list[AssistantVersion]
    ),
    ("POST", "/assistants/{assistant_id}/latest"): Operation(
        "use_assistant_version", f"Runs from now on use it. {_BUILT_IN}.", Assistant, refusals=(403,)
    ),
    ("GET", "/assistants/{assistant_id}/graph"): Operation(
        "get_assistant_graph", "For a drawing; `xray` opens its subgraphs.", Drawing
    ),
    ("GET", "/assistants/{assistant_id}/schemas"): Operation(
        "get_assistant_schemas", "Of its input, output, state, configuration and context.", GraphSchemas
    ),
    ("GET", "/assistants/{assistant_id}/subgraphs"): Operation(
        "list_assistant_subgraphs",
        "By their namespaces; `recurse` lists those inside of subgraphs too.",
        dict[str, SubgraphSchemas],
        SUBGRAPHS_EXAMPLE,
    ),
    ("GET", "/assistants/{assistant_id}/subgraphs/{namespace}"): Operation(
        "get_assistant_subgraph",
        "Labels of a namespace inside of subgraphs have `|` between them.",
        dict[str, SubgraphSchemas],
        SUBGRAPHS_EXAMPLE,
    ),
}
