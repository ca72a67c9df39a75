"""A small Kubernetes API server on a port of its own: objects of any kind, versions, watches, merge patches, discovery.

It checks AgentRuns against their schema, and does neither admission nor garbage collection. A `Kubelet`
(tests/operator) makes processes of its pods.
"""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from relayrun_core.kinds import AgentRun
from tests.support.serving import serving

Object = dict[str, Any]
Change = tuple[int, str, Object]

_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
_KINDS = {
    "/apis/apps/v1": [("controllerrevisions", "ControllerRevision")],
    "/api/v1": [
        ("pods", "Pod"),
        ("services", "Service"),
        ("secrets", "Secret"),
        ("events", "Event"),
        ("namespaces", "Namespace"),
    ],
    "/apis/relayrun.dev/v1alpha1": [("agents", "Agent"), ("agentruns", "AgentRun")],
}


class Refused(Exception):
    """What is answered in place of an object."""

    def __init__(self, status: int, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.status, self.reason = status, reason


@dataclass
class ApiServer:
    """All objects, by path. `refusals` are given by method and path until they are taken back."""

    objects: dict[str, Object] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    #: Called with (type, object) in the turn of each change.
    watchers: list[Callable[[str, Object], None]] = field(default_factory=list)
    #: Bearer tokens whose requests are not answered, as when the network is cut between.
    cut_off: set[str] = field(default_factory=set)
    refusals: dict[tuple[str, str], Refused] = field(default_factory=dict)
    #: What is wrong with the server itself: asked before each request, an answer of its own goes out instead.
    fault: Callable[[Request], Awaitable[Response | None]] | None = None
    #: Watches end after so many seconds, whatever they were asked for.
    watch_seconds: float | None = None
    #: Versions that were compacted away: who watches from there has to list anew.
    oldest_version: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _version: int = 100
    _drops: int = 0

    def drop_watches(self) -> None:
        """End the watches that are open."""
        self._drops += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def compact(self) -> None:
        """Forget all changes until now, as etcd does after five minutes."""
        self.oldest_version = self._version

    def all(self, kind: str) -> list[Object]:
        """The objects of a kind, `Pod`."""
        return [found for found in self.objects.values() if found["kind"] == kind]

    def create(self, collection: str, body: Object) -> Object:
        metadata = body.setdefault("metadata", {})
        metadata.setdefault("name", f"{metadata.get('generateName', '')}{uuid.uuid4().hex[:8]}")
        if plain := body.pop("stringData", None):
            body["data"] = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        path = f"{collection}/{metadata['name']}"
        if path in self.objects:
            raise Refused(409, "AlreadyExists", f"{path} already exists")
        if body["kind"] == "AgentRun":
            AgentRun.model_validate(body)  # as the CRD's schema does
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now, "generation": 1}
        return self._put("ADDED", path, body)

    def merge(self, path: str, patch: Object) -> Object:
        """A merge patch, to `/status` as well."""
        target = path.removesuffix("/status")
        before = self.get(target)
        self._check(before, patch)
        patch = patch if path == target else {"status": patch["status"]}
        after = _merge(before, patch)
        if after.get("spec") != before.get("spec"):
            after["metadata"]["generation"] += 1
        return after if after == before else self._put("MODIFIED", target, after)

    def replace(self, path: str, body: Object) -> Object:
        self._check(self.get(path), body)
        return self._put("MODIFIED", path, body)

    def get(self, path: str) -> Object:
        if path not in self.objects:
            raise Refused(404, "NotFound", f"{path} not found")
        return _copy(self.objects[path])

    def delete(self, path: str, uid: str | None = None) -> Object:
        """A pod only begins to end: its kubelet removes it."""
        found = self.get(path)
        if uid not in (None, found["metadata"]["uid"]):
            raise Refused(409, "Conflict", "the uid is another one")
        if found["kind"] == "Pod" and found.get("spec", {}).get("nodeName"):
            if "deletionTimestamp" not in found["metadata"]:
                found["metadata"]["deletionTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                return self._put("MODIFIED", path, found)
            return found
        return self.remove(path)

    def remove(self, path: str) -> Object:
        """The object is gone."""
        found = self.objects.pop(path)
        return self._tell("DELETED", found)

    def _check(self, before: Object, body: Object) -> None:
        version = body.get("metadata", {}).get("resourceVersion")
        if version not in (None, before["metadata"]["resourceVersion"]):
            raise Refused(409, "Conflict", "the object has been modified")

    def _put(self, kind: str, path: str, body: Object) -> Object:
        self.objects[path] = _copy(body)
        return self._tell(kind, self.objects[path])

    def _tell(self, kind: str, body: Object) -> Object:
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        told = _copy(body)
        self.changes.append((self._version, kind, told))
        for watcher in self.watchers:
            watcher(kind, told)
        self._changed.set()
        self._changed = asyncio.Event()
        return _copy(body)

    # HTTP

    async def answer(self, request: Request) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token in self.cut_off:
            return JSONResponse({"kind": "Status", "code": 503, "message": "cut off"}, 503)
        path = request.url.path
        if self.fault is not None and (answer := await self.fault(request)) is not None:
            return answer
        if (refusal := self.refusals.get((request.method, path))) is not None:
            return _status(refusal)
        try:
            return await self._answer(request, path, orjson.loads(await request.body() or b"null"))
        except Refused as refused:
            return _status(refused)

    async def _answer(self, request: Request, path: str, body: Any) -> Response:
        if request.method == "GET" and (found := _discovery(path)) is not None:
            return JSONResponse(found)
        match request.method:
            case "POST":
                return JSONResponse(self.create(path, _with_kind(path, body)), 201)
            case "PATCH":
                return JSONResponse(self.merge(path, body))
            case "PUT":
                return JSONResponse(self.replace(path, body))
            case "DELETE":
                return JSONResponse(self.delete(path, ((body or {}).get("preconditions") or {}).get("uid")))
        if path in self.objects or _is_name(path):
            return JSONResponse(self.get(path))
        wanted = _selected(path, request.query_params.get("labelSelector", ""))
        if request.query_params.get("watch") == "true":
            since = int(request.query_params.get("resourceVersion") or 0)
            seconds = float(request.query_params.get("timeoutSeconds", 300))
            if self.watch_seconds is not None:
                seconds = self.watch_seconds
            return StreamingResponse(self._watch(wanted, since, seconds), media_type="application/json")
        items = [found for found in self.objects.values() if wanted(found)]
        return JSONResponse({"kind": "List", "metadata": {"resourceVersion": str(self._version)}, "items": items})

    async def _watch(self, wanted: Callable[[Object], bool], since: int, seconds: float) -> AsyncIterator[bytes]:
        place = 0
        if since < self.oldest_version:
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            yield orjson.dumps({"type": "ERROR", "object": gone}) + b"\n"
            return
        try:
            async with asyncio.timeout(seconds):
                drops = self._drops
                while drops == self._drops:
                    changed = self._changed
                    for version, kind, body in self.changes[place:]:
                        if version > since and wanted(body):
                            yield orjson.dumps({"type": kind, "object": body}) + b"\n"
                    place = len(self.changes)
                    if changed is self._changed:
                        await changed.wait()
        except TimeoutError:
            return


def _status(refused: Refused) -> JSONResponse:
    body = {"kind": "Status", "code": refused.status, "reason": refused.reason, "message": str(refused)}
    return JSONResponse(body, refused.status)


def _copy(body: Object) -> Object:
    copied: Object = orjson.loads(orjson.dumps(body))
    return copied


def _merge(base: Any, patch: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(patch, dict)):
        return patch
    merged = {key: value for key, value in base.items() if patch.get(key, ...) is not None}
    merged |= {key: _merge(base.get(key), value) for key, value in patch.items() if value is not None}
    return merged


def _is_name(path: str) -> bool:
    """Whether the path names one object, in a namespace: …/namespaces/<namespace>/<kind>/<name>."""
    return len(path.partition("/namespaces/")[2].split("/")) > 2


def _with_kind(path: str, body: Object) -> Object:
    plural = path.rpartition("/")[2]
    kinds = {name: kind for known in _KINDS.values() for name, kind in known}
    return {"kind": kinds.get(plural, plural), **body}


def _selected(path: str, selector: str) -> Callable[[Object], bool]:
    """Whether an object is in this collection and has these labels."""
    plural = path.rpartition("/")[2]
    namespace = path.partition("/namespaces/")[2].partition("/")[0]
    kinds = {name: kind for known in _KINDS.values() for name, kind in known}
    labels = dict(term.split("=", 1) for term in selector.split(",") if term)

    def wanted(body: Object) -> bool:
        metadata = body["metadata"]
        return (
            body["kind"] == kinds.get(plural, plural)
            and metadata.get("namespace") == namespace
            and labels.items() <= metadata.get("labels", {}).items()
        )

    return wanted


def _discovery(path: str) -> Object | None:
    if path == "/api":
        return {"versions": ["v1"]}
    if path == "/apis":
        version = {"groupVersion": "relayrun.dev/v1alpha1", "version": "v1alpha1"}
        return {"groups": [{"name": "relayrun.dev", "preferredVersion": version, "versions": [version]}]}
    if path == "/version":
        return {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
    if path in _KINDS:
        resources = [
            {
                "name": name,
                "kind": kind,
                "singularName": kind.lower(),
                "namespaced": name != "namespaces",
                "verbs": _VERBS,
            }
            for name, kind in _KINDS[path]
        ]
        return {"kind": "APIResourceList", "resources": resources}
    return None


@asynccontextmanager
async def kubernetes() -> AsyncIterator[tuple[ApiServer, str]]:
    """A server, and its URL."""
    there = ApiServer()
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    async with serving(Starlette(routes=[Route("/{path:path}", there.answer, methods=methods)])) as port:
        yield there, f"http://127.0.0.1:{port}"


def kubeconfig_for(folder: Path, url: str, user: str) -> Path:
    """A kubeconfig whose bearer token is the user's name."""
    file = folder / f"kubeconfig-{user}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "there",
        "contexts": [{"name": "there", "context": {"cluster": "there", "user": user}}],
        "clusters": [{"name": "there", "cluster": {"server": url}}],
        "users": [{"name": user, "user": {"token": user}}],
    }
    file.write_bytes(orjson.dumps(config))
    return file
