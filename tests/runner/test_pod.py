"""A runner pod's first process: it forks the runner, starts it again when it dies, and drains it when it is told to."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from relayrun_core.database import Database
from tests.runner.agents import entered
from tests.runner.processes import TOKEN, RunnerProcess, runner_process, write_agent
from tests.runner.runs import accepted
from tests.support.waiting import until, until_it_is

pytestmark = [
    pytest.mark.crash,
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="pods are Linux"),
]

POD = "relayrun_runner.pod"
GRAPH = """
from typing import TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict):
    text: str

def node(state: State) -> State:
    return {"text": "done"}

graph = StateGraph(State).add_node("node", node).add_edge(START, "node").compile()
"""
# What is daemonised has no parent but the pod's first process; `short` ends at once, the others never.
DAEMONS = '''
import os, subprocess, sys
from pathlib import Path

HERE = Path(__file__).parent

def daemonise(code):
    start = f"""
import subprocess, sys
started = subprocess.Popen([sys.executable, "-c", {code!r}], start_new_session=True, stdout=subprocess.DEVNULL)
print(started.pid)
"""
    return subprocess.run([sys.executable, "-c", start], stdout=subprocess.PIPE, text=True).stdout.strip()

short = daemonise("pass")
long = daemonise("import time; time.sleep(60)")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid
forked = os.fork()
if not forked:
    import time
    os.setsid()
    time.sleep(60)
(HERE / f"started.{os.getpid()}").write_text(f"{short} {long} {child} {forked}")
'''


def runner_of(parent: RunnerProcess) -> psutil.Process:
    """The runner, once there is one: its parent's only child that is not left behind by an author's."""
    [found] = [
        child for child in psutil.Process(parent.process.pid).children() if child.cmdline()[3:4] == ["relayrun_runner"]
    ]
    return found


async def listed(parent: RunnerProcess) -> dict[str, Any]:
    answer: dict[str, Any] = (await parent.client.get("/runs")).json()
    return answer


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_runner_that_is_killed_is_followed_by_another_holder_at_the_same_address(
    tmp_path: Path, database_url: str
) -> None:
    config = write_agent(tmp_path / "agent", DAEMONS + GRAPH)
    async with runner_process(config, database_url, module=POD) as parent:
        holders, left = set(), set()
        for count in range(4):
            await parent.wait_ready()
            runner = runner_of(parent)
            told = await listed(parent)
            assert told["pid"] == runner.pid
            assert told["deaths"] == ({"Killed": count} if count else {})
            holders.add(told["holder"])
            started = (config.parent / f"started.{runner.pid}").read_text().split()
            short, *lasting = map(int, started)
            await until(lambda short=short: not psutil.pid_exists(short))  # reaped, not a zombie
            assert all(map(alive, lasting))
            left.update(lasting)
            runner.kill()

            async def another(before: str = told["holder"]) -> bool:
                return (await parent.readyz())["ready"] and (await listed(parent))["holder"] != before

            await until_it_is(lambda ask=another: answered(ask), seconds=60)
            await until(lambda: not any(map(alive, left - started_by(config, parent))))
        assert len(holders) == 4
        assert parent.process.poll() is None


def started_by(config: Path, parent: RunnerProcess) -> set[int]:
    """What the present runner's code has started."""
    file = config.parent / f"started.{runner_of(parent).pid}"
    return set(map(int, file.read_text().split())) if file.exists() else set()


async def answered(ask: Any) -> bool:
    """Whether it is so; nobody listens for a moment."""
    try:
        return bool(await ask())
    except httpx.TransportError:
        return False


async def test_sigterm_is_passed_on_and_the_runner_drains(play: Path, database_url: str, database: Database) -> None:
    gate = play.parent / "gate"
    run_id = await accepted(database, input={"gate": str(gate)})
    async with runner_process(play, database_url, module=POD) as parent:
        await parent.wait_ready()
        await parent.put(run_id)
        await until(entered(gate))
        parent.terminate()
        await until_it_is(lambda: draining(parent))
        gate.touch()
        assert await parent.wait_exit() == 0
        assert "Traceback" not in parent.log()


async def draining(parent: RunnerProcess) -> bool:
    return bool((await parent.readyz())["draining"])


async def test_code_that_ends_its_process_again_and_again_ends_the_pod_s_process_too(
    tmp_path: Path, database_url: str
) -> None:
    config = write_agent(tmp_path / "agent", "import os\nprint('I give up', flush=True)\nos._exit(7)\n")
    async with runner_process(config, database_url, module=POD) as parent:
        assert await parent.wait_exit() == 7
        assert parent.log().count("I give up") == 3
        assert "ended 3 times in a row before it was ready" in parent.log()


async def test_sigterm_between_two_tries_ends_it_at_once(tmp_path: Path, database_url: str) -> None:
    config = write_agent(tmp_path / "agent", "import os\nos._exit(7)\n")
    async with runner_process(config, database_url, module=POD) as parent:
        await until(lambda: parent.log().count("ended itself before it was ready") >= 1, seconds=60)
        parent.terminate()
        assert await parent.wait_exit(seconds=20) in (0, 7)  # the last try may have ended by then


async def test_the_runner_ends_with_the_first_process(play: Path, database_url: str) -> None:
    async with runner_process(play, database_url, module=POD) as parent:
        await parent.wait_ready()
        runner = runner_of(parent)
        parent.process.kill()
        await until(lambda: not alive(runner.pid))


async def test_wrong_settings_and_modules_that_cannot_be_preloaded_are_told_as_before(
    play: Path, database_url: str
) -> None:
    async with runner_process(play, database_url, module=POD, slots="many") as parent:
        assert await parent.wait_exit(seconds=110) == 2
        assert "RELAYRUN_SLOTS" in parent.log()
    async with runner_process(play, database_url, module=POD, preload="orjson, no.such.module") as parent:
        assert await parent.wait_exit(seconds=110) == 2
        assert "RELAYRUN_PRELOAD: no.such.module cannot be imported" in parent.log()


LOOK = """
import gc, json, os, random, signal, socket, sys, threading, uuid, secrets
from pathlib import Path

# Connections over TCP are not counted: somebody may be asking whether this is ready.
def is_request(n):
    try:
        with socket.socket(fileno=os.dup(n)) as found:
            return found.family in (socket.AF_INET, socket.AF_INET6) and bool(found.getpeername())
    except OSError:
        return False

def read(path):
    try:
        return Path(path).read_bytes().decode(errors="replace")
    except OSError:
        return ""

found = {
    "environ": dict(os.environ),
    "environs": [read(f"/proc/{pid}/environ") + read(f"/proc/{pid}/cmdline") for pid in (os.getpid(), os.getppid())],
    "random": [random.random(), uuid.uuid4().hex, uuid.uuid1().hex, secrets.token_hex(8)],
    "main": sys.modules["__main__"].__spec__.name,
    "argv": sys.argv,
    "handlers": {n.name: str(signal.getsignal(n)) for n in (signal.SIGCHLD, signal.SIGHUP, signal.SIGUSR1)},
    "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "frozen": gc.get_freeze_count(),
    "gc": gc.isenabled(),
    "threads": sorted(thread.name for thread in threading.enumerate()),
    "descriptors": [
        n for n in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{n}") and not is_request(int(n))
    ],
}
(Path(__file__).parent / f"found.{os.getpid()}").write_text(json.dumps(found))
"""


async def test_a_fork_is_as_clean_as_a_process_that_was_started(tmp_path: Path, database_url: str) -> None:
    # What author code finds at import: in one that was started, and in two that were forked.
    def looked(config: Path, count: int) -> list[dict[str, Any]]:
        files = list(config.parent.glob("found.*"))
        return [json.loads(file.read_text()) for file in files] if len(files) == count else []

    own = {"SSL_CERT_FILE": "/nowhere", "TZ": "Asia/Tokyo"}
    started_config = write_agent(tmp_path / "started", LOOK + GRAPH)
    async with runner_process(started_config, database_url, environment=own, with_parent_pipe=True) as runner:
        await runner.wait_ready()
        [started] = looked(started_config, 1)
    config = write_agent(tmp_path / "forked", LOOK + GRAPH)
    async with runner_process(config, database_url, module=POD, environment=own) as parent:
        await parent.wait_ready()
        assert psutil.Process(parent.process.pid).num_threads() == 1
        before = await listed(parent)
        os.kill(before["pid"], signal.SIGKILL)

        async def followed() -> bool:
            return (await parent.readyz())["ready"] and (await listed(parent))["pid"] != before["pid"]

        await until_it_is(lambda: answered(followed), seconds=60)
        forked = looked(config, 2)
    assert len(forked) == 2
    for found in forked:
        for what in ("handlers", "mask", "gc", "threads", "main", "argv"):
            assert found[what] == started[what], what
        assert found["frozen"] > 10_000
        # Two more: what tells its parent that it is ready, and a pipe that its parent was given here.
        assert len(found["descriptors"]) == len(started["descriptors"]) + 2
        assert {name for name in found["environ"] if name not in started["environ"]} == {"RELAYRUN_DEATHS"}
        assert {name for name in started["environ"] if name not in found["environ"]} == set()
        assert not [text for text in found["environs"] if TOKEN in text or database_url in text]
    for one, other in zip(forked[0]["random"], forked[1]["random"], strict=True):
        assert one != other
