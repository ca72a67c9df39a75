"""What the API server answers, as the client's callers get it."""

from typing import Any, cast

import pytest

from relayrun_operator.kube.client import KubeClient, Object


class Answering(KubeClient):
    """Gets these pages, one after the other."""

    def __init__(self, *pages: Object) -> None:
        super().__init__(cast("Any", None))
        self._pages = list(pages)

    async def request(self, *_: Any, **__: Any) -> Object:
        return self._pages.pop(0)


@pytest.mark.parametrize("items", [None, []])
async def test_a_collection_without_objects_is_empty(items: list[Object] | None) -> None:
    page = {"items": items, "metadata": {}}
    assert await Answering(page).list_names("/x") == {}
    assert await Answering(page).list("/x") == []


async def test_all_pages_of_a_collection_are_read() -> None:
    one, two = ({"metadata": {"name": name, "uid": f"uid-{name}"}} for name in "ab")
    pages = ({"items": [one], "metadata": {"continue": "more"}}, {"items": [two], "metadata": {}})
    assert await Answering(*pages).list_names("/x") == {"a": "uid-a", "b": "uid-b"}
    assert await Answering(*pages).list("/x") == [one, two]
