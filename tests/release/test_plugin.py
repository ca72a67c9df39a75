"""`kubectl relayrun` without an installation: what reaches the pod. `make release-check` runs it on kind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from release.version import ROOT

# In place of a cluster: lists the deployments of $APIS, and runs here what it should execute in a pod.
KUBECTL = """#!/bin/sh
case " $* " in *" get "*) echo "$*" >>"$ASKED"; printf "$APIS"; exit;; esac
echo "$*" >>"$ASKED"
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""
RELAYRUN = """#!/bin/sh
echo "$# arguments, the last is $3; key ${RELAYRUN_API_KEY-none}, token ${RELAYRUN_TOKEN-none}"
[ "$3" != - ] || cat
exit 3
"""
ONE = "deployment.apps/relayrun-api\\n"


def plugin(folder: Path, *words: str, apis: str = ONE, stdin: str = "", **environment: str) -> tuple[int, str, str]:
    """Exit code, what was printed, and what kubectl was asked."""
    for name, script in (("kubectl", KUBECTL), ("relayrun", RELAYRUN)):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    asked = folder / "asked"
    path = {"PATH": f"{folder}:{os.environ['PATH']}", "APIS": apis, "ASKED": str(asked)}
    line = [ROOT / "scripts" / "kubectl-relayrun", *words]
    ended = subprocess.run(line, input=stdin, env=path | environment, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr, asked.read_text()


def test_arguments_and_the_exit_code_are_passed_on(tmp_path: Path) -> None:
    code, told, asked = plugin(tmp_path, "-n", "agents", "--context=here", "run", "refund", "two words")
    assert (code, told) == (3, "3 arguments, the last is two words; key none, token none\n")
    assert asked.count("--context here --namespace agents") == 2


@pytest.mark.parametrize(("name", "seen"), [("API_KEY", "key secret, token none"), ("TOKEN", "key none, token secret")])
def test_a_secret_reaches_the_pod_and_no_argument(tmp_path: Path, name: str, seen: str) -> None:
    code, told, asked = plugin(tmp_path, "run", "refund", "-", stdin='{"a": 1}', **{f"RELAYRUN_{name}": "secret"})
    assert (code, told) == (3, f'3 arguments, the last is -; {seen}\n{{"a": 1}}')
    assert "secret" not in asked


@pytest.mark.parametrize(("apis", "said"), [("", "has no API"), (ONE * 2, "has several")])
def test_which_api_is_meant_has_to_be_clear(tmp_path: Path, apis: str, said: str) -> None:
    code, told, _ = plugin(tmp_path, "ps", apis=apis)
    assert code == 1
    assert told.startswith("Error: ")
    assert said in told
