"""Store calls of clients. They use the store of the graphs, on the graphs' loop, with a share of its connections.

The API checks who may and what is bounded; `label`, where it is set, is one that every namespace in the answer has in
an owner's place.
"""

import logging
import math
import re
from collections.abc import Iterator
from typing import Any, Literal

import psycopg
from langgraph.store.base import NOT_PROVIDED, BaseStore, InvalidNamespaceError, get_text_at_path
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.exceptions import HTTPException

from relayrun_core.errors import RelayrunError
from relayrun_runner.author_errors import class_of, is_cancelled
from relayrun_runner.errors import InvalidStoreCall, StoreCallFailed
from relayrun_runner.graphs.serialize import dumps
from relayrun_runner.store.clients import ClientStore, client_store
from relayrun_runner.store.filters import LABEL, condition_of
from relayrun_runner.store.vectors import RetryingStore

log = logging.getLogger("relayrun.runner")

# Each text is embedded and has a row: `index` may name every element of a long list.
_MOST_TEXTS = 1000

_NAMESPACES = """
SELECT DISTINCT (string_to_array(prefix, '.'))[:%s] COLLATE "C" AS labels FROM store {where}
ORDER BY labels LIMIT %s OFFSET %s"""
_DEEPEST = 2**31 - 1  # of an array

Path = tuple[str, ...]


class StoreCall(BaseModel):
    """The body of POST /store/{call}."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class GetItem(StoreCall):
    """One item, or null."""

    namespace: Path
    key: str
    refresh_ttl: bool | None = None


class PutItem(StoreCall):
    """Keep a value. `ttl` in minutes: null for ever, absent what `store.ttl.default_ttl` says."""

    namespace: Path
    key: str
    value: dict[str, Any]
    index: Literal[False] | list[str] | None = None
    ttl: float | None = Field(default=None, gt=0)


class DeleteItem(StoreCall):
    """Forget an item; one that is not there is no error."""

    namespace: Path
    key: str


class SearchItems(StoreCall):
    """Items below a namespace."""

    namespace_prefix: Path = ()
    filter: dict[str, Any] | None = None
    limit: int = Field(default=10, ge=1)
    offset: int = Field(default=0, ge=0)
    query: str | None = None
    refresh_ttl: bool | None = None
    label: str | None = None


class ListNamespaces(StoreCall):
    """Namespaces that begin and end so; `*` stands for any one label, but for the first `literal_prefix` labels of the
    one and the first `literal_suffix` of the other.
    """

    prefix: Path = ()
    suffix: Path = ()
    literal_prefix: int = Field(default=0, ge=0)
    literal_suffix: int = Field(default=0, ge=0)
    max_depth: int | None = Field(default=None, ge=1)
    limit: int = Field(default=100, ge=1)
    offset: int = Field(default=0, ge=0)
    label: str | None = None


AnyCall = GetItem | PutItem | DeleteItem | SearchItems | ListNamespaces
_CALLS: dict[str, TypeAdapter[AnyCall]] = {
    "get": TypeAdapter(GetItem),
    "put": TypeAdapter(PutItem),
    "delete": TypeAdapter(DeleteItem),
    "search": TypeAdapter(SearchItems),
    "namespaces": TypeAdapter(ListNamespaces),
}


def parse_call(name: str, body: bytes) -> AnyCall:
    """The call of that name. Raises HTTPException 404, pydantic's ValidationError."""
    if name not in _CALLS:
        raise HTTPException(404, f"the store has no call {name!r}")
    return _CALLS[name].validate_json(body)


def store_calls(store: RetryingStore) -> "StoreCalls":
    """Calls to the store of the graphs, by a share of its connections."""
    return StoreCalls(client_store(store))


class StoreCalls:
    """Answers calls, as JSON."""

    def __init__(self, store: ClientStore) -> None:
        self._store = store
        self._database = store.database

    async def answer(self, call: AnyCall) -> bytes:
        """The answer in the Agent Server's form. Raises InvalidStoreCall, StoreCallFailed, what the database raises."""
        try:
            return dumps(await self._answer(call))
        except InvalidNamespaceError as error:
            raise InvalidStoreCall(str(error)) from error
        except (RelayrunError, psycopg.Error):
            raise
        except BaseException as error:
            if is_cancelled(error):
                raise
            # The author's embedding: what it says may hold a key or another's text.
            log.exception("a client's call to the store failed")
            raise StoreCallFailed(f"the store failed with {class_of(error)}: its runner's log says why") from error

    async def _answer(self, call: AnyCall) -> Any:
        # Not by the store's own methods: they gather all calls of one moment, and one that fails would fail those of
        # the nodes with it. BaseStore's make a batch of each.
        store = self._store
        match call:
            case GetItem():
                item = await BaseStore.aget(store, call.namespace, call.key, refresh_ttl=call.refresh_ttl)
                return None if item is None else item.dict()
            case PutItem():
                return await self._put(call)
            case DeleteItem():
                return await BaseStore.adelete(store, call.namespace, call.key)
            case SearchItems():
                return await self._search(call)
            case ListNamespaces():
                return {"namespaces": await self._namespaces(call)}

    async def _put(self, call: PutItem) -> None:
        self._require_few_texts(call)
        # LangGraph keeps whole minutes: half a one would become none with the first read.
        minutes = call.ttl if call.ttl is None else math.ceil(call.ttl)
        ttl = minutes if "ttl" in call.model_fields_set else NOT_PROVIDED
        await BaseStore.aput(self._store, call.namespace, call.key, call.value, call.index, ttl=ttl)

    def _require_few_texts(self, call: PutItem) -> None:
        config = self._store.index_config
        if config is None or call.index is False:
            return
        paths = (config.get("fields") or ["$"]) if call.index is None else call.index
        texts = 0
        for path in paths:
            texts += len(get_text_at_path(call.value, path))
            if texts > _MOST_TEXTS:
                raise InvalidStoreCall(
                    f"The index would hold more than {_MOST_TEXTS} texts of this item: name fewer in `index`, or store"
                    " its parts as items of their own."
                )

    async def _search(self, call: SearchItems) -> dict[str, Any]:
        wanted = {**(call.filter or {}), **({} if call.label is None else {LABEL: call.label})}
        found = await BaseStore.asearch(
            self._store,
            call.namespace_prefix,
            query=call.query,
            filter=wanted,
            limit=call.limit,
            offset=call.offset,
            refresh_ttl=call.refresh_ttl,
        )
        return {"items": [item.dict() for item in found]}

    async def _namespaces(self, call: ListNamespaces) -> list[list[str]]:
        # LangGraph's own has no condition on a label in any place.
        patterns = list(_patterns(call))
        conditions = ["prefix ~ %s"] * len(patterns)
        if call.label is not None:
            condition, labels = condition_of(LABEL, call.label)
            conditions.append(condition)
            patterns += labels
        if (self._store.ttl_config or {}).get("omit_expired"):
            conditions.append("(expires_at IS NULL OR expires_at > now())")
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        depth = call.max_depth or _DEEPEST
        rows = await self._database.fetch_all(
            _NAMESPACES.format(where=where), [depth, *patterns, call.limit, call.offset]
        )
        return [row["labels"] for row in rows]


def _patterns(call: ListNamespaces) -> Iterator[str]:
    """Regular expressions that a namespace, its labels joined by dots, has to match."""
    if call.prefix:
        yield rf"^{_path(call.prefix, call.literal_prefix)}(\.|$)"
    if call.suffix:
        yield rf"(^|\.){_path(call.suffix, call.literal_suffix)}$"


def _path(labels: Path, literal: int) -> str:
    wild = [label == "*" and at >= literal for at, label in enumerate(labels)]
    return r"\.".join("[^.]+" if any_one else re.escape(label) for label, any_one in zip(labels, wild, strict=True))
