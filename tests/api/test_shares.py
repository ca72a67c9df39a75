"""Shares by owner: one owner's many never take another's room, and whoever waits is served in order or refused."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from relayrun_api.http.errors import TooManyAtOnce
from relayrun_api.http.shares import OwnerShares
from tests.support.waiting import until_it_is


async def test_one_owner_cannot_take_anothers_share() -> None:
    shares = OwnerShares("searches", each=2)
    async with AsyncExitStack() as inside:
        for _ in range(2):
            await inside.enter_async_context(shares.share("alice"))
        with pytest.raises(TooManyAtOnce) as refused:
            async with shares.share("alice"):
                raise AssertionError("a third one was let in")
        assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "1")
        async with shares.share("bob"), shares.share(None):
            assert [shares.used(owner) for owner in ("alice", "bob", None)] == [2, 1, 1]
    assert shares.used("alice") == 0
    async with shares.share("alice"):
        pass


async def test_who_waits_is_let_in_when_another_leaves() -> None:
    shares = OwnerShares("searches", each=1, wait_seconds=60, waiting=1)
    order: list[int] = []

    async def visit(number: int) -> None:
        async with shares.share("alice"):
            order.append(number)

    async with shares.share("alice"):
        waiting = asyncio.create_task(visit(1))
        await until_it_is(lambda: _is(shares.used("alice") == 2))
        with pytest.raises(TooManyAtOnce):
            await visit(2)
        assert order == []
    await waiting
    assert order == [1]
    assert shares.used("alice") == 0


async def test_who_waits_too_long_or_goes_away_leaves_the_share_whole() -> None:
    shares = OwnerShares("searches", each=1, wait_seconds=60)

    async def visit(wait_seconds: float | None = None) -> None:
        async with shares.share("alice", wait_seconds=wait_seconds):
            pass

    async with shares.share("alice"):
        with pytest.raises(TooManyAtOnce):
            await visit(0.01)
        gone = asyncio.create_task(visit())
        await until_it_is(lambda: _is(shares.used("alice") == 2))
        gone.cancel()
        await asyncio.wait([gone])
        assert gone.cancelled()
        assert shares.used("alice") == 1
    await visit(0)
    assert shares.used("alice") == 0


async def _is(truth: bool) -> bool:
    return truth
