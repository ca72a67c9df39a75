"""Runner processes: their death is known at once, they die with us, and their output is passed on."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from relayrun_operator.local.processes import SupervisedProcess
from tests.support.waiting import until

pytestmark = pytest.mark.crash


def start(code: str, output: io.StringIO | None = None, **environment: str) -> SupervisedProcess:
    command = [sys.executable, "-c", dedent(code)]
    return SupervisedProcess.start("r1", command, {**os.environ, **environment}, output=output or io.StringIO())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_killed_process_is_known_to_be_dead_at_once():
    process = start("import time; time.sleep(60)")
    await asyncio.sleep(0.05)
    began = time.monotonic()
    os.kill(process.pid, signal.SIGKILL)
    assert await asyncio.wait_for(process.exited, 30) == -signal.SIGKILL
    assert time.monotonic() - began < 2, "a runner that is silent is lost after ten"


async def test_an_exit_code_and_the_last_words_are_kept_and_lines_are_prefixed():
    output = io.StringIO()
    process = start("import sys; print('hello'); print('no such graph', file=sys.stderr); sys.exit(3)", output)
    assert await process.exited == 3
    await until(lambda: output.getvalue().count("\n") == 2)
    assert sorted(output.getvalue().splitlines()) == ["[r1] hello", "[r1] no such graph"]
    assert "no such graph" in process.last_words


async def test_a_last_line_without_an_end_is_passed_on_too():
    output = io.StringIO()
    process = start("import sys; sys.stdout.write('half a line')", output)
    await process.exited
    await until(lambda: output.getvalue() == "[r1] half a line\n")


async def test_a_line_of_many_megabytes_is_passed_on_in_parts():
    output = io.StringIO()
    process = start("import sys; sys.stdout.write('x' * 5_000_000)", output)
    await process.exited
    await until(lambda: output.getvalue().count("x") == 5_000_000)
    assert max(len(line) for line in output.getvalue().splitlines()) < 1_100_000


async def test_what_a_runner_started_dies_with_it(tmp_path: Path):
    process = start(
        f"""
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open({str(tmp_path / "pid")!r}, "w").write(str(child.pid) + "\\n")
        time.sleep(60)
        """
    )
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
    child = int((tmp_path / "pid").read_text())
    os.kill(process.pid, signal.SIGKILL)
    await process.exited
    await until(lambda: not alive(child))


async def test_a_terminated_process_may_end_in_its_own_way_and_a_killed_one_may_not():
    polite = start("import signal, sys, time; signal.signal(15, lambda *_: sys.exit(9)); print(1); time.sleep(60)")
    await until(lambda: polite.last_words == "1")
    polite.terminate()
    assert await polite.exited == 9
    stubborn = start("import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(60)")
    await until(lambda: stubborn.last_words == "1")
    stubborn.terminate()
    stubborn.kill()
    assert await stubborn.exited == -signal.SIGKILL
    stubborn.kill()  # nothing to do, nobody else is hit


async def test_a_runner_ends_when_we_are_killed(tmp_path: Path):
    script = tmp_path / "supervisor.py"
    script.write_text(
        dedent(
            f"""
            import asyncio, os, sys
            from relayrun_operator.local.processes import SupervisedProcess

            CHILD = "from relayrun_core.process.parent import exit_with_parent; exit_with_parent(); import time; "
            CHILD += "print('up', flush=True); time.sleep(60)"

            async def main():
                child = SupervisedProcess.start("r1", [sys.executable, "-c", CHILD], os.environ)
                while child.last_words != "up":
                    await asyncio.sleep(0.01)
                open({str(tmp_path / "pid")!r}, "w").write(str(child.pid) + "\\n")
                await child.exited

            asyncio.run(main())
            """
        )
    )
    supervisor = await asyncio.create_subprocess_exec(sys.executable, str(script), stderr=subprocess.DEVNULL)
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
    child = int((tmp_path / "pid").read_text())
    assert alive(child)
    supervisor.kill()
    await supervisor.wait()
    await until(lambda: not alive(child))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="what is left is found in /proc")
async def test_what_has_left_its_group_dies_with_it_too(tmp_path: Path):
    process = start(
        f"""
        import os, subprocess, time
        subprocess.Popen(["sh", "-c", "sleep 60 & echo $$ $! > {tmp_path}/pids; wait"], start_new_session=True)
        time.sleep(60)
        """
    )
    await until(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text().endswith("\n"))
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert all(map(alive, pids))
    os.kill(process.pid, signal.SIGKILL)
    await process.exited
    await until(lambda: not any(map(alive, pids)))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="what is left is found in /proc")
async def test_what_it_has_started_dies_with_us_too(tmp_path: Path):
    process = start(
        f"""
        import subprocess, sys, time
        from relayrun_core.process.parent import exit_with_parent
        exit_with_parent()
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
        open({str(tmp_path / "pid")!r}, "w").write(str(child.pid) + "\\n")
        time.sleep(60)
        """
    )
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
    child = int((tmp_path / "pid").read_text())
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, process._parent_end)  # as the kernel closes it when we die
    os.close(nowhere)
    assert await process.exited == 0
    await until(lambda: not alive(child))


async def test_lines_of_a_process_without_a_name_are_passed_on_as_they_are():
    output = io.StringIO()
    command = [sys.executable, "-c", "print('12:00:00 INFO as it is')"]
    process = SupervisedProcess.start("", command, os.environ, output=output)
    assert await process.exited == 0
    assert output.getvalue() == "12:00:00 INFO as it is\n"
