"""The event protocol."""

from relayrun_api.http import examples as things
from relayrun_api.openapi.operation import Operation, Operations, Stream
from relayrun_api.openapi.shapes.protocol import CommandAnswer

_STREAM = Stream("""\
event: lifecycle
id: 4294967297
data: {"type":"event","seq":4294967297,"method":"lifecycle","params":{"namespace":[],"data":{"event":"running"}}}

event: values
id: 4294967298
data: {"type":"event","seq":4294967298,"method":"values","params":{"namespace":[],"data":{"messages":[]}}}

""")
_ENDLESS = "Does not end by itself; come back with `since`, the `seq` of the last event that you had."

OPERATIONS: Operations = {
    ("POST", "/threads/{thread_id}/commands"): Operation(
        "send_command",
        "`run.start`, `input.respond`, `agent.getTree`, `state.get`, `state.listCheckpoints` or `state.fork`. What is "
        "wrong with a command is said in the answer, whose status is 200.",
        CommandAnswer,
        refusals=(502,),
        bodies={
            "run.start": {
                "id": 1,
                "method": "run.start",
                "params": {"assistant_id": "agent", "input": things.ASKED},
            },
            "agent.getTree": {"id": 2, "method": "agent.getTree", "params": {}},
            "state.get": {"id": 3, "method": "state.get", "params": {"keys": ["messages"]}},
            "state.listCheckpoints": {"id": 4, "method": "state.listCheckpoints", "params": {"limit": 10}},
            "state.fork": {"id": 5, "method": "state.fork", "params": {"checkpoint_id": things.CHECKPOINT}},
            "input.respond": {
                "id": 6,
                "method": "input.respond",
                "params": {"interrupt_id": things.QUESTION, "response": "approved"},
            },
        },
    ),
    ("POST", "/threads/{thread_id}/stream/events"): Operation(
        "stream_events", f"Of the channels and namespaces in the body. {_ENDLESS}", _STREAM
    ),
    ("GET", "/threads/{thread_id}/stream/events"): Operation(
        "get_event_stream",
        f"{_ENDLESS} A WebSocket at the same path takes commands and subscriptions, and sends their answers and "
        "events; browsers send a token as its protocols `relayrun` and `relayrun.bearer.<token>`.",
        _STREAM,
    ),
}
