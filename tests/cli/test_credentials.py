"""Who the command line says it is."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from tests.cli.command_line import Relayrun, command_line

Headers = list[tuple[str | None, str | None]]


class Witness(http.server.BaseHTTPRequestHandler):
    """Notes who asks, and knows of no threads."""

    seen: Headers

    def do_POST(self) -> None:
        self.seen.append((self.headers["Authorization"], self.headers["X-Api-Key"]))
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Headers]:
    Witness.seen = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Witness) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(Witness, "url", f"http://127.0.0.1:{server.server_port}", raising=False)
        yield Witness.seen
        server.shutdown()
        thread.join()


@pytest.fixture
def relayrun(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seen: Headers) -> Relayrun:
    return command_line(monkeypatch, capsys, Witness.url)  # type: ignore[attr-defined]


def test_a_token_or_an_api_key_is_sent_from_the_options_or_the_environment(
    relayrun: Relayrun, seen: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert relayrun("ps").code == 0
    relayrun("ps", "--token", "mine")
    relayrun("threads", "--api-key", "secret")
    monkeypatch.setenv("RELAYRUN_TOKEN", "theirs")
    monkeypatch.setenv("RELAYRUN_API_KEY", "hidden")
    relayrun("ps")
    assert seen == [(None, None), ("Bearer mine", None), (None, "secret"), ("Bearer theirs", "hidden")]


def test_a_token_is_not_shown_by_help(relayrun: Relayrun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAYRUN_TOKEN", "very-secret")
    assert "very-secret" not in relayrun("ps", "--help").out
