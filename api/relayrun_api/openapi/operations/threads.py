"""Threads."""

from relayrun_api.http import examples as things
from relayrun_api.openapi.operation import Operation, Operations, Stream
from relayrun_api.openapi.shapes.threads import Pruned, Thread

_STREAM = Stream(f"""\
event: metadata
id: 2-4294967297
data: {{"run_id":"{things.RUN}","attempt":1}}

event: updates
id: 2-4294967298
data: {{"answer":{{"messages":[{{"type":"ai","id":"m2","content":"{things.TOLD}"}}]}}}}

""")

OPERATIONS: Operations = {
    ("POST", "/threads"): Operation(
        "create_thread",
        "A thread's id may be a UUID or a name of your own. `supersteps` make the state that it begins with.",
        Thread,
        refusals=(409, 502),
    ),
    ("POST", "/threads/search"): Operation(
        "search_threads",
        "Yours only, by status, metadata and values (what they contain). `X-Pagination-Next` is the offset to go on "
        "at. With `select` a thread has these members alone.",
        list[Thread],
    ),
    ("POST", "/threads/count"): Operation("count_threads", "As many as a search would find.", int, 7),
    ("POST", "/threads/prune"): Operation(
        "prune_threads",
        "Threads with an unfinished run, and those of others, are passed over.",
        Pruned,
    ),
    ("GET", "/threads/{thread_id}"): Operation(
        "get_thread", "With its values and questions as of its last finished run.", Thread
    ),
    ("PATCH", "/threads/{thread_id}"): Operation(
        "update_thread",
        "Keys that are not sent stay as they are.",
        Thread,
        also={204: "It is done; asked for with `Prefer: return=minimal`."},
    ),
    ("DELETE", "/threads/{thread_id}"): Operation(
        "delete_thread", "With its runs and checkpoints; what has not ended is cancelled.", refusals=(409,)
    ),
    ("POST", "/threads/{thread_id}/copy"): Operation(
        "copy_thread", "The copy has an id of its own and the same owner.", Thread
    ),
    ("GET", "/threads/{thread_id}/stream"): Operation(
        "stream_thread",
        "Does not end by itself. `run_modes` tells what the runs stream and, as `metadata`, when one is done; "
        "`lifecycle` their starts and ends alone, `state_update` edits of the state. Come back with `Last-Event-ID`.",
        _STREAM,
    ),
}
