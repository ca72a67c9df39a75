"""Secrets reach a process by a pipe or by its environment, and are in neither once it has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import SecretStr

from relayrun_api.settings import ApiSettings
from relayrun_core.process.secrets import SECRETS, VARIABLE, hand_over, without_secrets
from relayrun_core.runner_settings import RunnerSettings

CHILD = """
import json, os, sys
from relayrun_core.process.secrets import take_secrets
taken, again = take_secrets("DATABASE_URL"), take_secrets("DATABASE_URL")
print(json.dumps({"taken": taken, "again": again, "left": dict(os.environ)}), flush=True)
sys.stdin.read()
"""
SECRET = "what nobody else may read: \N{SNOWMAN} a=b"


def told_by(environment: dict[str, str], *descriptors: int) -> dict[str, Any]:
    """What a child says that took its secrets, and what the kernel tells everybody of its environment."""
    command = [sys.executable, "-c", CHILD]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, pass_fds=descriptors, **pipes) as child:  # type: ignore[call-overload]
        said: dict[str, Any] = json.loads(child.stdout.readline())
        said["kernel"] = Path(f"/proc/{child.pid}/environ").read_bytes()
        said["open"] = [str(link.readlink()) for link in Path(f"/proc/{child.pid}/fd").iterdir()]
        child.stdin.close()
    return said


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc here")
def test_an_environment_shows_no_secret_once_it_was_read() -> None:
    given = {name: f"{SECRET} {name}" for name in [*SECRETS, "DATABASE_URL"]}
    given["relayrun_token"] = given.pop("RELAYRUN_TOKEN")  # settings know it in small letters too
    others = {"PATH": os.environ["PATH"], "MINE": "RELAYRUN_TOKEN=mine", "EMPTY": "", "LAST": "x" * 5000}
    said = told_by({**others, **given})
    assert said["taken"] == {name.upper(): value for name, value in given.items()}
    assert said["again"] == {}
    assert {name: said["left"][name] for name in others} == others
    assert not {name.upper() for name in said["left"]} & {*SECRETS, "DATABASE_URL"}
    assert SECRET.encode() not in said["kernel"]
    entries = set(said["kernel"].split(b"\0"))
    assert entries >= {f"{name}={value}".encode() for name, value in others.items()}


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc here")
def test_a_pipe_hands_them_over_once() -> None:
    secrets = {"RELAYRUN_TOKEN": SECRET, "RELAYRUN_DATABASE_URL": "postgresql:///x"}
    pipe = hand_over(secrets)
    said = told_by({**without_secrets(os.environ), VARIABLE: str(pipe)}, pipe)
    assert (said["taken"], said["again"]) == (secrets, {})
    assert VARIABLE not in said["left"]
    assert str(Path(f"/proc/self/fd/{pipe}").readlink()) not in said["open"]
    assert SECRET.encode() not in said["kernel"]
    os.close(pipe)


def test_too_much_for_a_pipe_is_refused_and_not_waited_for() -> None:
    with pytest.raises(ValueError, match="larger than 16384 bytes"):
        hand_over({"RELAYRUN_TOKEN": "x" * 20_000})


def test_every_secret_setting_is_one_that_is_hidden() -> None:
    secret = {
        f"RELAYRUN_{name.upper()}"
        for settings in (RunnerSettings, ApiSettings)
        for name, field in settings.model_fields.items()
        if SecretStr in (field.annotation, *get_args(field.annotation))
    }
    assert secret == SECRETS - {"RELAYRUN_API_KEY"}
    assert without_secrets(dict.fromkeys([*SECRETS, VARIABLE, "relayrun_token", "OTHER"], "x")) == {"OTHER": "x"}
