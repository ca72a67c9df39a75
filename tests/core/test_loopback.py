"""The credential of author code's calls: what is accepted, and what is not."""

from __future__ import annotations

import base64
from uuid import UUID

import pytest

from relayrun_core.loopback import AGENT, LIFETIME_SECONDS, Caller, InvalidCredential, Signer

RUN = Caller(UUID("0198f0c2-0000-7000-8000-000000000001"), 2)
NOW = 1_800_000_000.0
SIGNER = Signer("the runners' token")


@pytest.mark.parametrize("caller", [RUN, AGENT])
@pytest.mark.parametrize("later", [0, LIFETIME_SECONDS - 1, 1 - LIFETIME_SECONDS])
def test_it_says_who_calls_for_a_while(caller: Caller, later: int) -> None:
    assert SIGNER.verify(SIGNER.sign(caller, NOW), NOW + later) == caller


@pytest.mark.parametrize("later", [LIFETIME_SECONDS + 1, -LIFETIME_SECONDS - 1])
def test_its_time_ends(later: int) -> None:
    with pytest.raises(InvalidCredential, match="has expired"):
        SIGNER.verify(SIGNER.sign(RUN, NOW), NOW + later)


def test_another_token_signs_another_one() -> None:
    with pytest.raises(InvalidCredential, match="no runner of this installation"):
        SIGNER.verify(Signer("another token").sign(RUN, NOW), NOW)


@pytest.mark.parametrize(
    ("runner", "api"), [(("old",), ("new", "old")), (("new", "old"), ("old",)), (("new", "old"), ("new",))]
)
def test_while_the_token_is_replaced_one_that_both_know_is_enough(
    runner: tuple[str, ...], api: tuple[str, ...]
) -> None:
    assert Signer(*api).verify(Signer(*runner).sign(RUN, NOW), NOW) == RUN


def test_what_it_says_cannot_be_changed() -> None:
    content, _, signature = SIGNER.sign(RUN, NOW).partition(".")
    other = base64.urlsafe_b64encode(base64.urlsafe_b64decode(content).replace(b'"attempt":2', b'"attempt":3'))
    assert other.decode() != content
    with pytest.raises(InvalidCredential, match="no runner of this installation"):
        SIGNER.verify(f"{other.decode()}.{signature}", NOW)


@pytest.mark.parametrize("text", ["", ".", "a.b.c", "é.é", "AAAA.AAAA", "no credential", "%.%", "a" * 10_000])
def test_nothing_else_is_accepted(text: str) -> None:
    with pytest.raises(InvalidCredential):
        SIGNER.verify(text, NOW)


def test_without_a_token_nobody_signs() -> None:
    with pytest.raises(ValueError, match="empty"):
        Signer("")
