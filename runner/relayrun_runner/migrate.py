"""`python -m relayrun_runner.migrate`: brings a database to this version's schema, Relayrun's and LangGraph's.

Run once for each new version, by the chart's Job; it waits for a database that is not there yet, and may be run again.
Settings: RELAYRUN_DATABASE_URL, or RELAYRUN_DATABASE_DIRECT_URL where that is a pooler's; RELAYRUN_STORE, the `store`
of a langgraph.json as JSON, for its vector index.
"""

import asyncio
import logging
import os
import sys
import time

from pydantic import TypeAdapter, ValidationError

from relayrun_core.connecting import ConnectionSettings
from relayrun_core.database import current_url, is_transient
from relayrun_core.db.migrate import migrate
from relayrun_core.errors import NeedsDirectConnection, SchemaUnknown
from relayrun_core.logs import configure_logging
from relayrun_core.settings import CoreSettings
from relayrun_runner.config.model import StoreConfig
from relayrun_runner.errors import StoreUnavailable
from relayrun_runner.langgraph_tables import setup

log = logging.getLogger("relayrun.migrate")

_AGAIN_SECONDS = 1.0
_RETRY_SECONDS = 540.0


def main() -> None:
    """Migrate. Exit codes: 0 done, 1 the database refused or stayed away, 2 wrong settings."""
    settings = CoreSettings()
    configure_logging(settings.log_level, settings.log_format)
    try:
        store = TypeAdapter(StoreConfig | None).validate_json(os.environ.get("RELAYRUN_STORE") or "null")
    except ValidationError as error:
        print(f"RELAYRUN_STORE: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    try:
        version = asyncio.run(migrate_all(settings.direct_database, store))
    except (NeedsDirectConnection, SchemaUnknown, StoreUnavailable) as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(1)
    log.info("the database has schema %d and LangGraph's tables", version)


async def migrate_all(
    where: str | ConnectionSettings, store: StoreConfig | None, retry_seconds: float = _RETRY_SECONDS
) -> int:
    """Apply all migrations, waiting for a database that is away; Relayrun's schema version is returned."""
    give_up_at = time.monotonic() + retry_seconds
    while True:
        try:
            url = current_url(ConnectionSettings.of(where))
            version = await migrate(url)
            await setup(url, store)
        except Exception as error:
            if not is_transient(error) or time.monotonic() > give_up_at:
                raise
            log.warning("the database does not answer, trying again every second: %s", error)
            await asyncio.sleep(_AGAIN_SECONDS)  # back-off between two tries
        else:
            return version


if __name__ == "__main__":
    main()
