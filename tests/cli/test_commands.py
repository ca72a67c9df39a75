"""The verbs that need no server: what they say, and with which exit code they end."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from relayrun_cli.main import app
from relayrun_core import __version__


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Runs a command line in a temporary folder; answers its exit code and all that it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["relayrun", *arguments])
        with pytest.raises(SystemExit) as ended:
            app()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    return run


def write_config(folder: Path, **keys: object) -> None:
    (folder / "agent.py").write_text("graph = None\n")
    (folder / "langgraph.json").write_text(json.dumps({"graphs": {"agent": "./agent.py:graph"}, **keys}))


def test_the_version_is_that_of_what_is_installed(run) -> None:
    assert run("--version") == (0, f"relayrun {__version__}\n")


def test_validate_accepts_a_good_file_without_importing_it(run, tmp_path: Path) -> None:
    write_config(tmp_path)
    (tmp_path / "agent.py").write_text("raise RuntimeError\n")
    code, said = run("validate")
    assert (code, "OK" in said, "agent" in said) == (0, True, True)
    assert f"Checked: the form of the file; every key; that {tmp_path / 'agent.py'} exists." in said
    assert "Not checked: whether the code can be imported (--load imports it)." in said


@pytest.mark.parametrize("keys", [{"env": "no.env"}, {"dependencies": ["./no.env"]}])
def test_validate_warns_of_what_may_be_missing(run, tmp_path: Path, keys: dict) -> None:
    write_config(tmp_path, **keys)
    code, said = run("validate")
    assert (code, said.startswith("Warning: langgraph.json: "), f"{tmp_path / 'no.env'}" in said) == (0, True, True)


GRAPH = """
from langgraph.graph import StateGraph

def make(config):
    return StateGraph(dict).add_node("think", lambda state: state).add_edge("__start__", "think")
"""


def validate_load(folder: Path) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "relayrun_cli", "validate", "--load"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout, ended.stderr


def test_validate_load_imports_and_draws_the_graphs(tmp_path: Path) -> None:
    write_config(tmp_path, graphs={"agent": "./agent.py:make", "other": "agent:make"}, env={"WORD": "there"})
    (tmp_path / "agent.py").write_text(f"import os\nassert os.environ['WORD'] == 'there'\n{GRAPH}")
    code, said, err = validate_load(tmp_path)
    assert code == 0, err
    assert "graph agent: ./agent.py:make is a CompiledStateGraph\ngraph TD;" in said
    assert "__start__ --> think;" in said
    assert "Checked: the form of the file; every key; " in said
    assert "that the code can be imported and the graphs drawn." in said
    assert "whether http.app starts" in said


def test_validate_load_tells_all_that_does_not_load_compactly_and_ends_with_1(tmp_path: Path) -> None:
    auth, http = {"path": "./broken.py:auth"}, {"app": "./agent.py:number"}
    graphs = {
        "good": "./agent.py:make",
        "broken": "./broken.py:graph",
        "none": "./agent.py:number",
        "bad": "./agent.py:bad",
    }
    write_config(tmp_path, graphs=graphs, auth=auth, http=http)
    (tmp_path / "agent.py").write_text(f"{GRAPH}\nnumber = 7\ndef bad():\n    return 1 / 0\n")
    (tmp_path / "broken.py").write_text("import not_installed\n")
    code, out, err = validate_load(tmp_path)
    assert code == 1
    assert "not everything loads" in err
    assert "OK" not in out
    assert "graph good: ./agent.py:make is a CompiledStateGraph" in out
    missing = "ModuleNotFoundError: No module named 'not_installed'"
    frame = f'  File "{tmp_path / "broken.py"}", line 1, in <module>\n    import not_installed\n{missing}\n'
    for sentence in (
        f"graph broken: ./broken.py:graph did not load: {missing}\n{frame}",
        f"auth: ./broken.py:auth did not load: {missing}\n{frame}",
        "graph none: ./agent.py:number did not load: it is a int, neither a graph nor a function that makes one\n",
        "http.app: ./agent.py:number did not load: it is int, not an ASGI app: ",
        "graph bad: ./agent.py:bad did not load: ZeroDivisionError: division by zero\n",
    ):
        assert sentence in err
    assert "Traceback" not in err


def test_validate_names_the_nearest_key_to_an_unknown_one(run, tmp_path: Path) -> None:
    write_config(tmp_path, dependancies=["."])
    code, said = run("validate")
    assert code == 0
    assert "'dependencies'" in said


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"checkpointer": {"path": "./saver.py:make"}}, "checkpointer.path"),
        ({"graphs": {"agent": "./missing.py:graph"}}, "missing.py does not exist"),
        ({"graphs": {"agent": "./agent.ts:graph"}}, "JavaScript"),
    ],
)
def test_validate_refuses_what_cannot_work_with_1(run, tmp_path: Path, keys: dict, message: str) -> None:
    write_config(tmp_path, **keys)
    code, said = run("validate")
    assert code == 1
    assert message in said
    assert "Traceback" not in said


@pytest.mark.parametrize("verb", ["validate", "dev"])
def test_a_missing_langgraph_json_ends_with_1_and_says_how_to_name_it(run, verb: str) -> None:
    code, said = run(verb)
    assert code == 1
    assert "--config" in said


@pytest.mark.parametrize(
    "arguments",
    [("--wait-for-client",), ("--server-log-level", "loud"), ("--port", "0"), ("--runners", "0"), ("--no-such-flag",)],
)
def test_dev_refuses_flags_that_make_no_sense_with_2(run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    write_config(tmp_path)
    assert run("dev", *arguments)[0] == 2


def test_dev_without_debugpy_says_how_to_get_it(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, said = run("dev", "--debug-port", "5678")
    assert code == 1
    assert "pip install debugpy" in said


def test_dev_has_the_flags_of_langgraph_dev(run) -> None:
    _, said = run("dev", "--help")
    flags = """--config -c --host --port --no-reload --n-jobs-per-worker --no-browser --debug-port --wait-for-client
        --studio-url --allow-blocking --server-log-level --runners --data --cors-origin --debug"""
    assert [flag for flag in flags.split() if f"{flag} " not in said] == []


def test_reset_deletes_only_what_dev_made(run, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    code, said = run("reset", "--yes", "--data", "precious")
    assert code == 2
    assert "not a data folder" in said
    assert (tmp_path / "precious").exists()


def test_reset_asks_first(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    (tmp_path / ".relayrun").mkdir()
    (tmp_path / ".relayrun" / "lock").touch()
    assert run("reset")[0] == 1
    assert (tmp_path / ".relayrun").exists()
    assert run("reset", "--yes")[0] == 0
    assert not (tmp_path / ".relayrun").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("ps",),
        ("show", "thread"),
        ("cancel", "run"),
        ("run", "graph"),
        ("run", "graph", "--wait"),
        ("logs", "run"),
        ("logs", "-f", "run"),
        ("retry", "run"),
        ("threads",),
        ("threads", "show", "thread"),
        ("threads", "delete", "thread"),
    ],
)
def test_without_an_api_the_verbs_end_with_5(run, arguments: tuple[str, ...]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        code, said = run(*arguments, "--url", f"http://127.0.0.1:{probe.getsockname()[1]}")
    assert code == 5
    assert "relayrun dev" in said


def test_an_address_that_is_none_ends_with_2(run) -> None:
    code, said = run("ps", "--url", "localhost")
    assert (code, "http://127.0.0.1:8000" in said) == (2, True)


def test_dev_refuses_settings_of_access_that_are_wrong_and_repeats_no_secret(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAYRUN_AUTH", "jwt")
    code, said = run("dev")
    assert (code, "RELAYRUN_JWT_SECRET" in said) == (2, True)
    monkeypatch.setenv("RELAYRUN_JWT_SECRET", "too-short")
    code, said = run("dev")
    assert (code, "at least 32 bytes" in said, "too-short" in said) == (2, True, False)
