"""The terms of a request that starts a run: the caller's rate limit, and the idempotency key."""

import hashlib
from typing import Annotated

import orjson
from fastapi import Depends, Header
from starlette.requests import Request

from relayrun_api.auth import Caller, Principal
from relayrun_api.http.errors import Invalid
from relayrun_api.http.rate_limit import subject_of
from relayrun_api.services import Given
from relayrun_api.settings.access import AccessSettings
from relayrun_core.db.starting import Limit, OnceKey, Terms

_LONGEST_KEY = 255
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="A text that you choose. Requests with the same key start one run, for 24 hours.",
    ),
]


async def _terms(request: Request, services: Given, caller: Caller, key: IdempotencyKey = None) -> Terms:
    address = request.client.host if request.client else None
    return Terms(
        limit=limit_of(services.settings, caller, address),
        once=None if key is None else await _once(request, caller, key),
        headers=request.headers.items(),
    )


#: The terms of a route that starts a run.
StartTerms = Annotated[Terms, Depends(_terms)]


def limit_of(settings: AccessSettings, caller: Principal, address: str | None) -> Limit | None:
    """How many runs a caller at this address may start; None: any number."""
    runs = 0 if caller.is_agent else settings.runs_per_window
    return Limit(subject_of(caller.owner, address), runs, settings.rate_limit_window) if runs else None


async def _once(request: Request, caller: Principal, key: str) -> OnceKey:
    if not 0 < len(key) <= _LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise Invalid(f"`Idempotency-Key` must have 1 to {_LONGEST_KEY} printable ASCII characters: send another.")
    # The same request in other words too: whoever retries may write its JSON's members in another order. The thread
    # belongs to it; whether the run is streamed or waited for does not, so that a retry may choose.
    meant = [request.path_params.get("thread_id"), await request.json()]
    fingerprint = hashlib.sha256(orjson.dumps(meant, option=orjson.OPT_SORT_KEYS)).digest()
    return OnceKey(caller.owner or "", key, fingerprint)
