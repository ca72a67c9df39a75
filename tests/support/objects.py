"""Reads objects of a cluster over one connection: a kubectl for every look would cost more than what is looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kubernetes import config
from kubernetes.client import ApiException

Object = dict[str, Any]

_OURS = "/apis/relayrun.dev/v1alpha1"
_KINDS = {
    "ar": (_OURS, "agentruns"),
    "agent": (_OURS, "agents"),
    "agents": (_OURS, "agents"),
    "pod": ("/api/v1", "pods"),
    "pods": ("/api/v1", "pods"),
    "quota": ("/api/v1", "resourcequotas"),
    "lease": ("/apis/coordination.k8s.io/v1", "leases"),
    "deploy": ("/apis/apps/v1", "deployments"),
}
_NOT_FOUND = 404


class Objects:
    """The objects of a cluster, for the kinds that tests look at often."""

    def __init__(self, kubeconfig: Path) -> None:
        self._api = config.new_client_from_config(str(kubeconfig))

    @staticmethod
    def knows(kind: str) -> bool:
        """Whether the kind can be read here."""
        return kind in _KINDS

    def find(self, namespace: str, kind: str, name: str) -> Object | None:
        """The object, or None."""
        try:
            return self._get(f"{_path(namespace, kind)}/{name}")
        except ApiException as error:
            if error.status != _NOT_FOUND:
                raise
            return None

    def all(self, namespace: str, kind: str, *, labels: str = "", fields: str = "") -> list[Object]:
        """The objects of a kind that have the labels and fields."""
        query = [("labelSelector", labels)] * bool(labels) + [("fieldSelector", fields)] * bool(fields)
        items: list[Object] = self._get(_path(namespace, kind), query)["items"]
        return items

    def _get(self, path: str, query: list[tuple[str, str]] | None = None) -> Object:
        method, url, headers, *_ = self._api.param_serialize(
            "GET", path, query_params=query, header_params={"Accept": "application/json"}, auth_settings=["BearerToken"]
        )
        answer = self._api.call_api(method, url, headers)
        text = answer.read()
        if answer.status >= 400:
            raise ApiException(status=answer.status, reason=text.decode(errors="replace")[:500])
        found: Object = json.loads(text)
        return found


def _path(namespace: str, kind: str) -> str:
    root, plural = _KINDS[kind]
    return f"{root}/namespaces/{namespace}/{plural}"
