"""The folder of a measured server is gone whenever Ctrl-C comes while it is made, the server when we are killed."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
import pytest

from bench.processes import processes_that_name, work_folder
from tests.support.postgres import scratch_folder
from tests.support.waiting import until

WATCHED = {work_folder.__wrapped__.__code__.co_filename, tempfile.__file__}


class CtrlC:
    """Comes at one step of the Python code that makes the folder."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.came = False

    def __call__(self, frame: FrameType, event: str, _arg: object) -> Any:
        if frame.f_code.co_filename not in WATCHED:
            return None
        frame.f_trace_opcodes = True
        if event != "opcode":  # Python handles signals between instructions only
            return self
        self._left -= 1
        if self._left < 0 and not self.came:
            self.came = True
            signal.raise_signal(signal.SIGINT)
        return self


def test_a_ctrl_c_at_any_step_leaves_no_folder_behind(tmp_path, monkeypatch):
    source, temporary = tmp_path / "source", tmp_path / "temporary"
    source.mkdir()
    (source / "langgraph.json").write_text("{}")
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    interrupted = 0
    for step in itertools.count():
        monkeypatch.setattr(tempfile, "tempdir", None)  # asked for anew: a file is tried in it
        ctrl_c = CtrlC(step)
        before = sys.gettrace()
        sys.settrace(ctrl_c)
        try:
            with work_folder("test", source) as folder:
                sys.settrace(before)
                assert (folder / "langgraph.json").exists()
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.settrace(before)
        assert list(temporary.iterdir()) == [], f"left behind by Ctrl-C at step {step}"
        if not ctrl_c.came:
            break
    assert interrupted > 50


RELAYRUN_DEV = """
from bench.servers import relayrun_dev
with relayrun_dev(1):
    print("answers", flush=True)
    input()
"""
DEAF = """
import signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Ok(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
signal.signal(signal.SIGINT, signal.SIG_IGN)
HTTPServer(("127.0.0.1", int(sys.argv[1])), Ok).serve_forever()
"""
FOREIGN = f"""
import sys
from pathlib import Path
from bench import processes
processes.STOP_SECONDS = 1
with processes.work_folder("foreign", Path("bench/graphs")) as folder:
    port = processes.free_port()
    command = [sys.executable, "-c", {DEAF!r}, str(port), str(folder)]
    with processes.started("foreign", command, folder, processes.local_url(port)):
        print("answers", flush=True)
        input()
"""


@pytest.mark.crash
@pytest.mark.parametrize("code", [RELAYRUN_DEV, FOREIGN], ids=["relayrun dev", "one that does not hear Ctrl-C"])
async def test_a_server_ends_when_who_started_it_is_killed(code: str) -> None:
    async with scratch_folder("killed") as folder:
        await ends_with_who_started_it(code, folder)


async def ends_with_who_started_it(code: str, folder: Path) -> None:
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "TMPDIR": str(folder)}
    with psutil.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert await asyncio.to_thread(parent.stdout.readline) == b"answers\n"
        parent.kill()
    assert processes_that_name(folder)
    await until(lambda: not processes_that_name(folder))
