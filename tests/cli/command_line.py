"""Command lines run in this process, as a person would type them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from relayrun_cli.main import app


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    def json(self) -> Any:
        return json.loads(self.out)


Relayrun = Callable[..., Ended]


def command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str | None = None
) -> Relayrun:
    """A function that runs `relayrun` with the arguments it is given, against the API at `url`."""
    for name in ("RELAYRUN_URL", "RELAYRUN_TOKEN", "RELAYRUN_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    if url is not None:
        monkeypatch.setenv("RELAYRUN_URL", url)

    def relayrun(*arguments: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["relayrun", *arguments])
        with pytest.raises(SystemExit) as ended:
            app()
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return relayrun
