"""Threads' states and histories."""

from relayrun_api.openapi.operation import Operation, Operations
from relayrun_api.openapi.shapes.states import StateEdited, ThreadState

_WITHOUT_RUNNER = (
    "While a run is under way and no runner is up it is the state of the last finish, marked "
    "`metadata.source: last_finish`."
)

OPERATIONS: Operations = {
    ("GET", "/threads/{thread_id}/state"): Operation(
        "get_thread_state",
        f"Its values, what runs next, and the questions that it asks. {_WITHOUT_RUNNER}",
        ThreadState,
        refusals=(502,),
    ),
    ("POST", "/threads/{thread_id}/state"): Operation(
        "update_thread_state",
        "Written as if the node `as_node` had returned `values`: the graph goes on behind it. 409 while a run of the "
        "thread is unfinished.",
        StateEdited,
        refusals=(409, 502),
    ),
    ("GET", "/threads/{thread_id}/state/{checkpoint_id}"): Operation(
        "get_thread_state_at", "A checkpoint's id stands in the thread's history.", ThreadState, refusals=(502,)
    ),
    ("POST", "/threads/{thread_id}/state/checkpoint"): Operation(
        "get_thread_state_at_checkpoint",
        "The whole checkpoint in the body: with `checkpoint_ns` the state is a subgraph's.",
        ThreadState,
        refusals=(502,),
    ),
    ("GET", "/threads/{thread_id}/history"): Operation(
        "get_thread_history",
        "Each step of the thread's runs; `before` is the id of the checkpoint to go on behind.",
        list[ThreadState],
        refusals=(502,),
    ),
    ("POST", "/threads/{thread_id}/history"): Operation(
        "search_thread_history",
        "As the GET, and by what the checkpoints' metadata contain.",
        list[ThreadState],
        refusals=(502,),
    ),
}
