"""Which port the API gets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from relayrun_cli.dev.ports import choose_port, is_free, reachable_host
from relayrun_cli.errors import CliError


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


def port_of(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


def test_a_taken_default_port_gives_way_to_the_next_free_one(taken: socket.socket) -> None:
    chosen = choose_port("127.0.0.1", None, port_of(taken))
    assert chosen > port_of(taken)
    assert is_free("127.0.0.1", chosen)


def test_a_taken_port_that_was_asked_for_is_an_error(taken: socket.socket) -> None:
    with pytest.raises(CliError, match=f"Port {port_of(taken)} on 127.0.0.1 is taken"):
        choose_port("127.0.0.1", port_of(taken), 8000)


def test_a_port_that_is_taken_on_one_address_is_not_free_on_all(taken: socket.socket) -> None:
    assert not is_free("0.0.0.0", port_of(taken))


def test_a_taken_port_is_waited_for_when_asked(taken: socket.socket) -> None:
    port = port_of(taken)
    threading.Timer(0.2, taken.close).start()
    begun = time.monotonic()
    assert choose_port("127.0.0.1", port, 8000, wait_seconds=10) == port
    assert time.monotonic() - begun < 5


def test_a_host_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(CliError, match="Cannot listen on"):
        choose_port("192.0.2.1", None, 8000)


@pytest.mark.parametrize(
    ("host", "reachable"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("box", "box")],
)
def test_the_banner_names_a_host_that_can_be_called(host: str, reachable: str) -> None:
    assert reachable_host(host) == reachable
