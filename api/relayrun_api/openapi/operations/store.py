"""The store."""

from relayrun_api.openapi.operation import Operation, Operations
from relayrun_api.openapi.shapes.store import FoundItems, Item, Namespaces

_YOURS = "Your id has to be the namespace's first or second label."

OPERATIONS: Operations = {
    ("PUT", "/store/items"): Operation(
        "put_item", f"Replaces what was under the key. {_YOURS}", refusals=(403, 404, 502)
    ),
    ("GET", "/store/items"): Operation(
        "get_item", f"The labels of `namespace` have dots between them. {_YOURS}", Item | None, refusals=(404, 502)
    ),
    ("DELETE", "/store/items"): Operation(
        "delete_item", f"One that is not there is forgotten already. {_YOURS}", refusals=(403, 404, 502)
    ),
    ("POST", "/store/items/search"): Operation(
        "search_items",
        "By what the values hold, and by meaning with `query` where the agent has a vector index. Others' items are "
        "left out.",
        FoundItems,
        refusals=(404, 502),
    ),
    ("POST", "/store/namespaces"): Operation(
        "list_namespaces", "By their first and last labels, down to a depth.", Namespaces, refusals=(404, 502)
    ),
}
