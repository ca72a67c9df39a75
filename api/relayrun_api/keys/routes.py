"""API keys, for admins: what `relayrun keys` does in the database, over HTTP."""

from starlette.responses import Response

from relayrun_api.auth import Caller, Principal
from relayrun_api.auth.permissions import AccessCheck, RequestData
from relayrun_api.auth.routing import Router
from relayrun_api.http.errors import Forbidden, KeyNotFound
from relayrun_api.http.responses import Json
from relayrun_api.keys.models import Key, KeyCreate, NewKey
from relayrun_api.services import Given, Services
from relayrun_core.db.keys import create_key, list_keys, revoke_key

router = Router("keys")


def _no_handlers(_: RequestData) -> list[AccessCheck]:
    """An author's handlers are about threads, assistants, crons and the store: keys are none of them."""
    return []


@router.post(
    "/keys",
    operation_id="create_key",
    description="`key` of the answer is told this once: only its hash is kept. For admins.",
    permission=_no_handlers,
    status_code=201,
    answer=NewKey,
    refusals=(403,),
    examples={
        "for a backend": {"owner": "shop", "name": "the shop's backend", "expires_in_days": 90},
        "an admin's": {"owner": "ann", "admin": True},
    },
)
async def create(body: KeyCreate, services: Given, caller: Caller) -> Response:
    """Create an API key."""
    _for_admins(services, caller)
    text, row = await create_key(
        services.database, body.owner, admin=body.admin, name=body.name, lifetime=body.lifetime
    )
    return Json(NewKey(**vars(Key.of(row)), key=text), 201, {"Cache-Control": "no-store"})


@router.get(
    "/keys",
    operation_id="list_keys",
    description="For admins. Returns the keys, oldest first, including expired and revoked ones.",
    permission=_no_handlers,
    answer=list[Key],
    refusals=(403,),
)
async def listing(services: Given, caller: Caller) -> Response:
    """List API keys."""
    _for_admins(services, caller)
    return Json([Key.of(row) for row in await list_keys(services.database)])


@router.delete(
    "/keys/{key_id}",
    operation_id="revoke_key",
    description="For admins. Every API process refuses the key within 5 seconds. It stays in the list.",
    permission=_no_handlers,
    answer=Key,
    refusals=(403,),
)
async def revoke(key_id: str, services: Given, caller: Caller) -> Response:
    """Revoke an API key."""
    _for_admins(services, caller)
    row = await revoke_key(services.database, key_id)
    if row is None:
        raise KeyNotFound(f"There is no API key {key_id}: list the keys with GET /keys.")
    return Json(Key.of(row))


def _for_admins(services: Services, caller: Principal) -> None:
    """Raise Forbidden for whoever is no admin, and where keys open nothing: one that was made then would open later."""
    if "api-key" not in services.settings.auth_kinds:
        raise Forbidden("This server does not accept API keys: add `api-key` to RELAYRUN_AUTH (chart: `api.auth`).")
    if not caller.admin:
        raise Forbidden("API keys are for admins: use an admin's key or token.")
