"""kopf: its watches of Agents and pods, with reconnects, and handlers of a few lines.

No finalizers, no annotations, nothing written. AgentRuns are many, and have a watch of their own: `runwatch`.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import kopf

from relayrun_core.kinds import GROUP, VERSION
from relayrun_operator.kube import names
from relayrun_operator.kube.observer import Observer
from relayrun_operator.kube.runner import key_of

#: A watch is opened anew this often even when all seems well; a dead connection is noticed by the missing bookmarks.
_SERVER_SECONDS = 240
_CLIENT_SECONDS = 300
_SILENCE_SECONDS = 75.0
_CONNECT_SECONDS = 5.0


async def watch(observer: Observer, namespaces: list[str], claim_signals: Callable[[], None]) -> None:
    """Tell the observer of their changes, until cancelled. kopf takes SIGTERM for itself, which is claimed back."""
    others = asyncio.all_tasks()
    registry = kopf.OperatorRegistry()
    _register(registry, observer)
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=_settings(),
        namespaces=namespaces,
        standalone=True,
        identity=cast("Any", names.MANAGER),  # else it looks for the user's name, which a bare uid has not
    )
    claim_signals()
    await kopf.run_tasks(tasks, ignored=others)


def _register(registry: kopf.OperatorRegistry, observer: Observer) -> None:
    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        # Without the synchronous client, which would be loaded for its configuration alone.
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(GROUP, VERSION, "agents", registry=registry)
    async def on_agent(event: kopf.RawEvent, **_: Any) -> None:
        body: Any = event["object"]
        (observer.lose_agent if event["type"] == "DELETED" else observer.see_agent)(body)

    @kopf.on.event("", "v1", "pods", registry=registry, labels={names.MANAGED_LABEL: names.MANAGER})
    async def on_pod(event: kopf.RawEvent, **_: Any) -> None:
        body: Any = event["object"]
        if event["type"] == "DELETED":
            observer.lose_pod(key_of(body))
        else:
            observer.see_pod(body)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    # Names of namespaces are given and the kinds are there: neither needs cluster-wide rights.
    settings.scanning.disabled = True
    settings.watching.server_timeout = _SERVER_SECONDS
    settings.watching.client_timeout = _CLIENT_SECONDS
    settings.watching.connect_timeout = _CONNECT_SECONDS
    settings.watching.inactivity_timeout = _SILENCE_SECONDS
    settings.watching.label_selectors["", "v1", "pods"] = names.SELECTOR
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = _CONNECT_SECONDS
    return settings
