"""How runs end, for each way of asking: what a graph keeps private, and several questions at once."""

from tests.compat.recording import Recorder
from tests.compat.scenarios.streams import MODES

_GIVEN = {"question": "q"}


async def private_state(server: Recorder) -> None:
    for graph in ("private", "private_asks", "private_fails", "private_nested"):
        path = await _thread(server)
        run = {"assistant_id": graph, "input": _GIVEN, "durability": "sync"}
        await server.call(f"{graph}, wait", "POST", f"{path}/runs/wait", run)
        await server.call(f"{graph}, thread", "GET", path)
        await server.call(f"{graph}, state", "GET", f"{path}/state")
        await server.call(f"{graph}, history", "POST", f"{path}/history", {"limit": 1})
        found = {"ids": [path.rpartition("/")[2]], "select": ["values", "interrupts", "status"]}
        await server.call(f"{graph}, found", "POST", "/threads/search", found)
        await server.call(f"{graph}, without a thread", "POST", "/runs/wait", {"assistant_id": graph, "input": _GIVEN})


async def private_state_in_each_mode(server: Recorder) -> None:
    for graph, inside in (("private", False), ("private_nested", False), ("private_nested", True)):
        run = {"assistant_id": graph, "input": _GIVEN, "durability": "sync", "stream_subgraphs": inside}
        # What happens inside may be told in another order there.
        for modes in (*MODES, *([] if inside else [["events", "values", "updates"]])):
            path = await _thread(server)
            label = f"{graph}, {modes}, {'with' if inside else 'without'} what is inside"
            await server.stream(label, "POST", f"{path}/runs/stream", {**run, "stream_mode": modes})


async def waiting_in_each_mode(server: Recorder) -> None:
    for graph in ("private", "private_asks"):
        for modes in (*MODES, ["values", "updates"], ["events", "values"], ["updates", "custom"]):
            body = {"assistant_id": graph, "input": _GIVEN, "stream_mode": modes}
            await server.call(f"{graph}, {modes}", "POST", "/runs/wait", body)


async def several_questions(server: Recorder) -> None:
    for given in ({"log": []}, {"log": ["__interrupt__"], "note": "__interrupt__"}):
        for modes in ("values", ["values", "updates"], "updates"):
            path = await _thread(server)
            body = {"assistant_id": "asks_three", "input": given, "stream_mode": modes}
            await server.call(f"{given}, {modes}", "POST", f"{path}/runs/wait", body)
            await server.call(f"state {given}, {modes}", "GET", f"{path}/state")
            await server.call(f"thread {given}, {modes}", "GET", path)


async def _thread(server: Recorder) -> str:
    """The path of a new thread."""
    return f"/threads/{(await server.quietly('POST', '/threads', {}))['thread_id']}"
