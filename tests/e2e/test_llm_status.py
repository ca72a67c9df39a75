"""`relayrun dev` says in `/status` whether the example's language model answers."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from tests.examples.chatting import CONFIG
from tests.support.dev import relayrun_dev
from tests.support.model_server import model_server
from tests.support.reading import client_of
from tests.support.waiting import until_it_is

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def test_an_endpoint_that_goes_away_is_told_with_its_reason() -> None:
    checks: dict[str, Any] = {}

    async def becomes(client: httpx.AsyncClient, status: str) -> bool:
        body = (await client.get("/status")).json()
        checks.update(body["checks"], whole=body["status"])
        return bool(checks["llm"]["status"] == status)

    async def is_well_and_just_asked(client: httpx.AsyncClient) -> bool:
        return await becomes(client, "ok") and checks["llm"]["checked_seconds_ago"] <= 1

    async with AsyncExitStack() as endpoint:
        models = await endpoint.enter_async_context(model_server())
        models.key = "right"
        environment = {
            "CHAT_MODEL": "test",
            "OPENAI_BASE_URL": models.url,
            "OPENAI_API_KEY": "right",
            "RELAYRUN_LLM_CHECK_SECONDS": "0.2",
        }
        async with relayrun_dev(config=CONFIG, environment=environment, runners=1) as dev, client_of(dev.url) as client:
            await dev.answers()
            await until_it_is(lambda: is_well_and_just_asked(client))
            assert checks["whole"] == "ok"
            models.key = "changed"
            await until_it_is(lambda: becomes(client, "down"))
            assert checks["whole"] == "degraded"
            assert checks["llm"]["reason"] == f"agent default: 401 from {models.url}: check its key"
            models.key = "right"
            await until_it_is(lambda: becomes(client, "ok"))
            await endpoint.aclose()
            await until_it_is(lambda: becomes(client, "down"))
            assert checks["llm"]["reason"] == f"agent default: no answer from {models.url}: connection refused"
