"""The API server: plain objects in and out, over the official client's connections and authentication."""

import asyncio
import builtins
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import orjson
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTResponse

from relayrun_core.proxies import has_proxy
from relayrun_operator.kube.errors import KubeError

Object = dict[str, Any]

#: Longer than the API server's own limit for a request that does not watch would never help.
_REQUEST_SECONDS = 15.0

_CONNECTIONS = 32
_REFUSED = 400
#: A watch is opened anew this often even when all seems well; a dead connection is noticed by the missing bookmarks.
_WATCH_SECONDS = 240
_SILENCE_SECONDS = 75.0
_CONNECT_SECONDS = 5.0

_MERGE_PATCH = "application/merge-patch+json"

_TOO_MANY_REQUESTS = 429
_THROTTLED_TRIES = 2
#: A Lease has to be renewed within seconds: who is told to wait longer asks again all the same.
_LONGEST_PAUSE_SECONDS = 2.0

Observe = Callable[[str, int], None]


def _nobody(method: str, status: int) -> None:
    """Counts nothing."""


class Throttled(KubeError):
    """The API server has too much to do. `seconds`: when to ask again."""

    def __init__(self, reason: str, message: str, seconds: float) -> None:
        super().__init__(_TOO_MANY_REQUESTS, reason, message)
        self.seconds = seconds


class KubeClient:
    """Requests to the API server. Every method raises KubeError."""

    def __init__(self, api: ApiClient, observe: Observe = _nobody) -> None:
        self._api = api
        self._observe = observe

    @classmethod
    @asynccontextmanager
    async def open(cls, observe: Observe = _nobody) -> AsyncIterator["KubeClient"]:
        """Inside a pod with its service account, elsewhere with the kubeconfig.

        `observe` is called with each request's method and the status of its answer, 0: none.
        """
        configuration = Configuration()
        configuration.connection_pool_maxsize = _CONNECTIONS
        try:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        configuration.client_session_kwargs = {"trust_env": has_proxy(configuration.host)}
        async with ApiClient(configuration) as api:
            yield cls(api, observe)

    async def get(self, path: str) -> Object:
        """One object."""
        return await self.request("GET", path)

    async def list(self, path: str, query: Mapping[str, str] | None = None) -> list[Object]:
        """All objects of a collection, in pages."""
        return (await self.list_with_version(path, query))[0]

    async def list_with_version(
        self, path: str, query: Mapping[str, str] | None = None
    ) -> tuple[builtins.list[Object], str]:
        """The same, and the version from which a watch goes on."""
        items: builtins.list[Object] = []
        more: dict[str, str] = {"limit": "500", **(query or {})}
        while True:
            page = await self.request("GET", path, query=more)
            items += page["items"] or ()
            if not (token := page["metadata"].get("continue")):
                return items, str(page["metadata"].get("resourceVersion") or "0")
            more["continue"] = token

    @asynccontextmanager
    async def watch(self, path: str, version: str) -> AsyncIterator[AsyncIterator[Object]]:
        """The events of a collection behind this version, until the API server or the connection ends them.

        Each is `{"type", "object"}`. KubeError too when nothing came for longer than bookmarks take.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        limit = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS)
        with self._observed("GET"):
            answer = await self._call("GET", path, query=query, limit=limit)
        self._observe("GET", answer.status)
        if answer.status >= _REFUSED:
            with _unreachable():
                text = await answer.read()  # type: ignore[no-untyped-call]
            raise _refusal(answer, text)
        try:
            yield _events(answer.response)
        finally:
            answer.response.close()

    async def list_names(self, path: str) -> dict[str, str]:
        """The uid of every object of a collection, by name, without their contents."""
        found: dict[str, str] = {}
        more = {"limit": "1000"}
        while True:
            accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
            page = await self.request("GET", path, query=more, accept=accept)
            # An empty list without contents is null, unlike one with them.
            found |= {item["metadata"]["name"]: item["metadata"]["uid"] for item in page["items"] or ()}
            if not (token := page["metadata"].get("continue")):
                return found
            more["continue"] = token

    async def create(self, path: str, body: Object, *, strict: bool = False) -> Object:
        """Make an object. `strict`: refuse fields that the kind has not, which the API server drops otherwise."""
        return await self.request("POST", path, body=body, query={"fieldValidation": "Strict"} if strict else None)

    async def replace(self, path: str, body: Object) -> Object:
        """Replace an object; its `resourceVersion` must still be the current one."""
        return await self.request("PUT", path, body=body)

    async def patch(self, path: str, body: Object) -> Object:
        """Merge into an object; a `resourceVersion` in it must still be the current one."""
        return await self.request("PATCH", path, body=body, content_type=_MERGE_PATCH)

    async def delete(self, path: str, body: Object | None = None) -> None:
        """Delete an object; one that is gone already is a success."""
        try:
            await self.request("DELETE", path, body=body)
        except KubeError as error:
            if not error.not_found:
                raise

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        """Any request: the JSON object it answers. While the API server throttles, it is asked again when it says."""
        for _ in range(_THROTTLED_TRIES):
            try:
                return await self._ask(method, path, body, query, content_type, accept)
            except Throttled as throttled:
                await asyncio.sleep(throttled.seconds)
        return await self._ask(method, path, body, query, content_type, accept)

    async def _ask(
        self,
        method: str,
        path: str,
        body: Object | None,
        query: Mapping[str, str] | None,
        content_type: str,
        accept: str,
    ) -> Object:
        with self._observed(method):
            answer = await self._call(
                method, path, body=body, query=query, content_type=content_type, accept=accept, limit=_REQUEST_SECONDS
            )
            text = await answer.read()  # type: ignore[no-untyped-call]
        self._observe(method, answer.status)
        if answer.status >= _REFUSED:
            raise _refusal(answer, text)
        return _object(text)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        limit: float | aiohttp.ClientTimeout,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> RESTResponse:
        headers = {"Accept": accept, "Content-Type": content_type}
        serialized = await self._api.param_serialize(
            method, path, query_params=list((query or {}).items()), header_params=headers, auth_settings=["BearerToken"]
        )
        return await self._api.call_api(serialized[0], serialized[1], serialized[2], body=body, _request_timeout=limit)

    @contextmanager
    def _observed(self, method: str) -> Iterator[None]:
        try:
            with _unreachable():
                yield
        except KubeError:
            self._observe(method, 0)
            raise


@contextmanager
def _unreachable() -> Iterator[None]:
    try:
        yield
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise KubeError(0, "Unreachable", f"the API server does not answer: {error!r}") from error


def _refusal(answer: RESTResponse, text: bytes) -> KubeError:
    parsed = _object(text)
    reason = str(parsed.get("reason") or answer.reason)
    message = str(parsed.get("message") or text[:200].decode(errors="replace"))
    if answer.status == _TOO_MANY_REQUESTS:
        return Throttled(reason, message, _pause_of(answer.headers.get("Retry-After")))
    return KubeError(answer.status, reason, message)


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[Object]:
    # An AgentRun's line may be longer than what `readline` allows.
    rest = b""
    while True:
        with _unreachable():
            chunk = await response.content.readany()
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield _object(line)


def _pause_of(retry_after: str | None) -> float:
    try:
        return min(_LONGEST_PAUSE_SECONDS, max(0.0, float(retry_after or 1)))
    except ValueError:  # a date
        return _LONGEST_PAUSE_SECONDS


def _object(text: bytes) -> Object:
    try:
        parsed = orjson.loads(text)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
