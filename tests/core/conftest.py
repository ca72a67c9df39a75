from collections.abc import AsyncIterator

import pytest

from relayrun_core.database import Database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url, role="runner", max_size=8) as database:
        yield database
