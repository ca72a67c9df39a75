"""Runs, on threads and without."""

from relayrun_api.http import examples as things
from relayrun_api.openapi.examples import STATELESS_RUN
from relayrun_api.openapi.operation import Operation, Operations, Stream
from relayrun_api.openapi.shapes.chat import Cancelling
from relayrun_api.openapi.shapes.runs import Run, Values

_STREAM = Stream(f"""\
event: metadata
id: 2-4294967297
data: {{"run_id":"{things.RUN}","attempt":1}}

event: updates
id: 2-4294967298
data: {{"answer":{{"messages":[{{"type":"ai","id":"m2","content":"{things.TOLD}","tool_calls":[]}}]}}}}

""")
_EVENTS = (
    "The first event is `metadata`; behind it are those of the modes in `stream_mode`, and `error`. The answer ends "
    "with the run; one that was cut off goes on at its `Location`, with `Last-Event-ID`."
)
_JOINED = (
    "Without `Last-Event-ID` it tells what comes from now on: nothing of a run that has ended. With it, or with `-`, "
    "it tells all that is behind that event. Of some modes it tells their events and `error`."
)
_WAITS = "Answers when the run has ended or asks something; until then it sends a newline every 5 seconds."
_STATELESS = "The run gets a thread of its own, which is deleted after it unless `on_completion` is `keep`."

OPERATIONS: Operations = {
    ("POST", "/threads/{thread_id}/runs"): Operation(
        "create_run",
        "Answers at once: the run is accepted and will be finished. On a busy thread `multitask_strategy` decides; "
        "with `if_not_exists: create` the thread is made.",
        Run,
    ),
    ("POST", "/threads/{thread_id}/runs/stream"): Operation("stream_run", _EVENTS, _STREAM),
    ("POST", "/threads/{thread_id}/runs/wait"): Operation("wait_for_run", _WAITS, Values),
    ("GET", "/threads/{thread_id}/runs"): Operation(
        "list_runs", "With `select` a run has these members alone.", list[Run]
    ),
    ("GET", "/threads/{thread_id}/runs/{run_id}"): Operation(
        "get_run", "How far it is, and how it ended; an error with its message and node.", Run
    ),
    ("DELETE", "/threads/{thread_id}/runs/{run_id}"): Operation(
        "delete_run", "A run that has not ended is undone first, as `rollback` does; of one that has, the state stays."
    ),
    ("GET", "/threads/{thread_id}/runs/{run_id}/join"): Operation("join_run", _WAITS, Values),
    ("GET", "/threads/{thread_id}/runs/{run_id}/stream"): Operation("join_run_stream", _JOINED, _STREAM),
    ("POST", "/threads/{thread_id}/runs/{run_id}/cancel"): Operation(
        "cancel_run",
        "The run stops and keeps its finished steps, or with `rollback` is undone and gone. 404: it has ended.",
        Cancelling,
        refusals=(404,),
        also={200: "It has ended; asked for with `wait`."},
    ),
    ("POST", "/runs"): Operation("create_stateless_run", _STATELESS, Run, bodies=STATELESS_RUN),
    ("POST", "/runs/stream"): Operation(
        "stream_stateless_run", f"{_STATELESS} {_EVENTS}", _STREAM, bodies=STATELESS_RUN
    ),
    ("POST", "/runs/wait"): Operation("wait_for_stateless_run", f"{_STATELESS} {_WAITS}", Values, bodies=STATELESS_RUN),
    ("POST", "/runs/batch"): Operation(
        "create_runs", "At most 100, each on a thread of its own; a batch of n counts n in the rate limit.", list[Run]
    ),
    ("POST", "/runs/cancel"): Operation(
        "cancel_runs",
        "Either `status`, or `thread_id` and `run_ids`. 404 where none of them is unfinished.",
        refusals=(404,),
    ),
}
