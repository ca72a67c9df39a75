"""What the verbs print of what a server says: nothing of it steers the terminal, or looks like a line of ours."""

from __future__ import annotations

import json

import pytest

from relayrun_cli.attending import described_error
from relayrun_cli.commands.show import _fact
from relayrun_cli.dev.banner import Screen
from relayrun_cli.output import SafeConsole, plain, print_columns, print_json, stderr, stdout

HOSTILE = "a\x1b[2J\x9b31m\x7f\u202eb\u2028\rc"
STEERING = "\x1b\x9b\x7f\u202e\u2028\r"


def steers(text: str) -> bool:
    return any(sign in text for sign in STEERING)


def test_a_name_cannot_look_like_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_columns(["THREAD", "STATUS"], [[f"{HOSTILE}\nother  idle", "error"]])
    said = capsys.readouterr().out
    assert len(said.splitlines()) == 2
    assert not steers(said)


def test_a_message_cannot_look_like_a_fact(capsys: pytest.CaptureFixture[str]) -> None:
    _fact("Error", described_error({"error": {"error": "E", "message": f"{HOSTILE}\nStatus  success"}}))
    _fact("Graph", f"{HOSTILE}\nStatus  success")
    said = capsys.readouterr().out
    assert len(said.splitlines()) == 2
    assert not steers(said)


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("as_json", [True, False])
def test_json_says_the_same_and_steers_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, terminal: bool, as_json: bool
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "dumb")  # without colours, whose escapes are our own
        monkeypatch.setattr(SafeConsole, "is_terminal", property(lambda _: True))
    value = {HOSTILE: [f"{HOSTILE}\n", "Zoë 漢字\u00a0🙂"]}
    print_json(value, as_json=as_json)
    said = capsys.readouterr().out
    assert not steers(said)
    assert json.loads(said) == value
    assert "Zoë 漢字" in said


def test_nothing_that_is_said_steers_either(capsys: pytest.CaptureFixture[str]) -> None:
    stdout().print(HOSTILE)
    stderr().print(HOSTILE, style="red")
    screen = Screen()
    screen.say(HOSTILE)
    screen.warn(HOSTILE)
    said = capsys.readouterr()
    assert not steers(said.out + said.err)
    assert plain("Zoë\n\t漢字") == "Zoë\n\t漢字"
