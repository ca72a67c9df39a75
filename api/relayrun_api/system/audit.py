"""What the audit trail has beside requests: with which settings an API process starts, and what happens to API keys."""

from relayrun_api.http.access_log import audit_logger
from relayrun_api.settings import ApiSettings
from relayrun_core.database import Database
from relayrun_core.db.keys import changed_keys

#: None of them is a secret, nor an address that may have one.
_SETTINGS = (
    "world",
    "auth",
    "auth_agent",
    "jwt_issuer",
    "jwt_audience",
    "jwt_admin_claim",
    "jwt_admin_value",
    "rate_limit",
    "rate_limit_window_seconds",
    "open_per_owner",
    "trusted_proxies",
    "journal_keep_hours",
    "thread_ttl_minutes",
    "webhook_allow_private",
    "webhook_allow_hosts",
)


def audit_start(settings: ApiSettings) -> None:
    """Say with which settings this process starts."""
    said = {name: getattr(settings, name) for name in _SETTINGS}
    audit_logger.info("the API starts", extra={"action": "start", "settings": said})


async def audit_keys(database: Database) -> None:
    """Tell of keys that were made and revoked since this was called last, by whichever process."""
    for change in await changed_keys(database):
        key = change.key
        about = {"key": key.key_id, "owner": key.owner, "admin": key.admin, "at": change.at.isoformat()}
        audit_logger.info("an API key was %s", change.what, extra={"action": f"key_{change.what}", **about})
