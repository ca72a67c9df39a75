"""Values that JSON has no word for, in each place where they are told."""

from tests.compat.recording import Recorder


async def told(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    path = f"/threads/{thread}"
    modes = ["values", "updates", "custom"]
    body = {"assistant_id": "values", "input": {}, "stream_mode": modes, "durability": "sync"}
    await server.stream("stream", "POST", f"{path}/runs/stream", body)
    await server.call("thread", "GET", path)
    await server.call("state", "GET", f"{path}/state")
    await server.call("history", "POST", f"{path}/history", {"limit": 10})
    await server.call("items", "POST", "/store/items/search", {"namespace_prefix": ["values"]})
    answer = {"assistant_id": "values", "command": {"resume": "yes"}}
    await server.call("wait", "POST", f"{path}/runs/wait", answer)
