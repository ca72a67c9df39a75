"""The simple endpoints."""

from relayrun_api.http import examples as things
from relayrun_api.openapi.operation import Operation, Operations, Stream
from relayrun_api.openapi.shapes.chat import Accepted, Cancelling, Conversation, Invoked

_STREAM = Stream(f"""\
event: start
id: 1-4294967297
data: {{"type":"start","run_id":"{things.RUN}","thread_id":"{things.NAME}","attempt":1}}

event: token
id: 1-4294967298
data: {{"type":"token","message_id":"m2","node":"answer","text":"It is "}}

event: message
id: 1-4294967301
data: {{"type":"message","message":{{"id":"m2","role":"assistant","content":"{things.TOLD}","tool_calls":[]}}}}

event: end
id: 1-4294967302
data: {{"type":"end","run_id":"{things.RUN}","thread_id":"{things.NAME}","status":"success"}}

""")

OPERATIONS: Operations = {
    ("POST", "/chat"): Operation(
        "chat",
        "Events are `start`, `token`, `message`, `tool_call`, `tool_result`, `update`, `custom`, `attempt` (after a "
        "crash: which half-sent messages to forget), `interrupt`, `error` and, always last, `end`. A lost connection "
        "cancels nothing: go on at the answer's `Location`. A thread that waits at a question takes `resume` only.",
        _STREAM,
    ),
    ("GET", "/chat/{run_id}"): Operation(
        "follow_chat",
        "Tells the same events again, from the start or after the one that you had last, and then those to come. "
        "When all has been delivered it answers 204, which stops an EventSource.",
        _STREAM,
        also={204: "All has been delivered."},
    ),
    ("POST", "/invoke"): Operation(
        "invoke",
        "Answers when the run has ended or asks something; until then it sends a newline every 5 seconds.",
        Invoked,
    ),
    ("POST", "/run-task"): Operation(
        "run_task",
        "Answers at once: the run is accepted and will be finished. Follow it at the answer's `Location`.",
        Accepted,
    ),
    ("GET", "/history/{thread_id}"): Operation(
        "get_conversation",
        "The newest messages in plain form, oldest first. A name that was never used is an empty conversation.",
        Conversation,
        refusals=(502,),
    ),
    ("DELETE", "/runs/{run_id}"): Operation(
        "cancel_chat",
        "The run stops at once and keeps its finished steps, or is undone with `rollback`. It stays to be read.",
        Cancelling,
        refusals=(409,),
    ),
}
