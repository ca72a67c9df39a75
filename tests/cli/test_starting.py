"""A run that is started while the API goes away is started once."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from tests.cli.command_line import Relayrun, command_line

RUN = {"run_id": "r", "thread_id": "t"}


class Dying(http.server.BaseHTTPRequestHandler):
    """Takes the first request and hangs up, is not ready at the second, and answers the third."""

    seen: list[str | None]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(self.headers["Idempotency-Key"])
        if len(self.seen) == 1:
            self.close_connection = True
            return
        status, body = (503, {"detail": "Starting."}) if len(self.seen) == 2 else (200, RUN)
        self.send_response(status)
        content = json.dumps(body).encode()
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    Dying.seen = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dying) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def relayrun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], server: http.server.ThreadingHTTPServer
) -> Relayrun:
    return command_line(monkeypatch, capsys, f"http://127.0.0.1:{server.server_port}")


def test_it_is_asked_for_again_under_the_same_key(relayrun: Relayrun) -> None:
    ended = relayrun("run", "agent", "--detach", "--json")
    assert (ended.code, ended.json()) == (0, RUN)
    assert "The connection was lost" in ended.err
    assert len(Dying.seen) == 3
    assert len(set(Dying.seen)) == 1
    assert Dying.seen[0]


def test_another_run_has_another_key(relayrun: Relayrun) -> None:
    relayrun("run", "agent", "--detach")
    relayrun("run", "agent", "--detach")
    assert len(set(Dying.seen)) == 2


def test_an_address_where_nothing_listens_is_said_at_once(
    relayrun: Relayrun, server: http.server.ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAYRUN_URL", "http://127.0.0.1:9")
    ended = relayrun("run", "agent", "--detach")
    assert (ended.code, Dying.seen) == (5, [])
    assert "No API at http://127.0.0.1:9" in ended.err
