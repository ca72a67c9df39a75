"""The store, and what every server says of itself."""

from tests.compat.recording import Recorder


async def items(server: Recorder) -> None:
    item = {"namespace": ["memories", "ann"], "key": "k", "value": {"likes": "tea"}}
    await server.call("put", "PUT", "/store/items", item)
    await server.call("get", "GET", "/store/items?namespace=memories.ann&key=k")
    await server.call("get none", "GET", "/store/items?namespace=memories.ann&key=none")
    await server.call("search", "POST", "/store/items/search", {"namespace_prefix": ["memories"]})
    await server.call(
        "filter", "POST", "/store/items/search", {"namespace_prefix": ["memories"], "filter": {"likes": "tea"}}
    )
    await server.call("namespaces", "POST", "/store/namespaces", {"prefix": ["memories"]})
    await server.call("delete", "DELETE", "/store/items", {"namespace": ["memories", "ann"], "key": "k"})
    await server.call("search nothing", "POST", "/store/items/search", {"namespace_prefix": ["memories"]})
    await server.call("a wrong label", "PUT", "/store/items", {**item, "namespace": ["a.b"]})
    await server.call("no value", "PUT", "/store/items", {"namespace": ["a"], "key": "k"})


async def system(server: Recorder) -> None:
    await server.call("ok", "GET", "/ok")
    await server.call("info", "GET", "/info")
    await server.call("nothing there", "GET", "/nothing/there")
