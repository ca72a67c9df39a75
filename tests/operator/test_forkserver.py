"""Runners that are forked: their server's life, and that it makes no difference to whoever supervises them."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent

import psutil
import pytest

from relayrun_operator.local.forkserver import UNKNOWN_END, ForkServer
from relayrun_operator.local.processes import SupervisedProcess
from tests.support.waiting import until, until_it_is

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked"),
]

MAIN = "def main(): import os; exec(os.environ['CODE'])"


class Forks:
    """A server whose children execute code; `printed` is what all of them say."""

    def __init__(self, server: ForkServer, folder: Path, printed: io.StringIO) -> None:
        self.server = server
        self.folder = folder
        self.printed = printed

    def start(self, code: str, name: str = "r1", **environment: str) -> SupervisedProcess:
        given = {**os.environ, "CODE": dedent(code), **environment}
        return self.server.start("forked", name, given, secrets={"RELAYRUN_TOKEN": "hidden"}, folder=self.folder)

    async def said(self, code: str, **environment: str) -> str:
        """What a child prints that executes this."""
        process = self.start(code, **environment)
        assert await process.exited == 0, process.last_words
        return process.last_words


@asynccontextmanager
async def forking(folder: Path, monkeypatch: pytest.MonkeyPatch, *further: str) -> AsyncIterator[Forks]:
    package = folder / "modules" / "forked"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(MAIN)
    (package / "loaded.py").write_text("WORD = 'one'")
    monkeypatch.setenv("PYTHONPATH", str(folder / "modules"))
    printed = io.StringIO()
    server = ForkServer(["forked.loaded"], further, printed)
    try:
        yield Forks(server, folder, printed)
    finally:
        await server.close()


@pytest.fixture
async def forks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Forks]:
    async with forking(tmp_path, monkeypatch) as made:
        yield made


async def test_a_child_s_exit_code_last_words_and_death_are_known(forks: Forks) -> None:
    told = forks.start("import sys; print('hello'); sys.exit(3)")
    assert await told.exited == 3
    assert told.last_words == "hello"
    assert "[r1] hello\n" in forks.printed.getvalue()
    killed = forks.start("import time; print(1, flush=True); time.sleep(60)")
    await until(lambda: killed.last_words == "1")
    os.kill(killed.pid, signal.SIGKILL)
    assert await asyncio.wait_for(killed.exited, 30) == -signal.SIGKILL


async def test_what_is_asked_of_a_child_before_it_exists_is_done_once_it_does(forks: Forks) -> None:
    process = forks.start("import time; time.sleep(60)")
    assert not process.exists
    process.terminate()
    assert await process.exited == -signal.SIGTERM


async def test_children_go_on_when_their_server_is_killed_and_others_are_forked_by_another_one(forks: Forks) -> None:
    first = forks.start("import sys, time; print(1, flush=True); time.sleep(60)")
    await until(lambda: first.last_words == "1")
    before = psutil.Process(first.pid).parent()
    assert before is not None
    before.kill()
    await until(lambda: not before.is_running() or before.status() == psutil.STATUS_ZOMBIE)

    async def another_forks() -> bool:  # what is asked for in the very moment is lost with the one that was killed
        code = await forks.start("print(2)").exited
        assert code in (0, UNKNOWN_END)
        return code == 0

    await until_it_is(another_forks)
    assert psutil.pid_exists(first.pid)
    first.kill()
    assert await asyncio.wait_for(first.exited, 30) == UNKNOWN_END


async def test_two_servers_share_what_was_imported_first_and_either_does_without_the_other(
    forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relayrun_operator.local.forkserver.SHARED", ("forked.shared",))
    modules = forks.folder / "modules" / "forked"
    (modules / "shared.py").write_text("import os\nWHERE = os.getpid()")
    (modules / "other.py").touch()
    other = Forks(ForkServer(["forked.other"], output=forks.printed, trunk=forks.server), forks.folder, forks.printed)
    try:
        code = """
            import os, sys
            print(os.getppid(), sys.modules["forked.shared"].WHERE if "forked.shared" in sys.modules else 0)
            print("forked.loaded" in sys.modules, "forked.other" in sys.modules)
        """
        branch, shared, *imported = (await other.said(code)).split()
        trunk = (await forks.said(code)).split()
        assert imported == ["False", "True"]
        assert trunk == [shared, shared, "True", "False"]
        assert psutil.Process(int(branch)).ppid() == int(shared)
        os.kill(int(shared), signal.SIGKILL)
        await until(lambda: psutil.Process(int(branch)).ppid() != int(shared))
        assert (await other.said(code)).split()[0] == branch, "it goes on when the one that it came from is killed"
        os.kill(int(branch), signal.SIGKILL)
        await until(lambda: not alive(int(branch)))

        async def another_forks() -> bool:
            return await other.start(code).exited == 0

        await until_it_is(another_forks)
        assert (await other.said(code)).split()[1:] == ["0", "False", "True"]
    finally:
        await other.server.close()


async def test_a_server_that_was_not_split_off_yet_ends_with_the_one_that_should_do_it(forks: Forks) -> None:
    code = "import os, time; open(os.environ['PIDS'], 'a').write(f'{os.getpid()} '); time.sleep(60)"
    (forks.folder / "modules" / "forked" / "loaded.py").write_text(code)
    os.environ["PIDS"] = str(forks.folder / "pids")
    other = ForkServer(["forked.loaded"], output=forks.printed, trunk=forks.server)
    process = other.start("forked", "r1", dict(os.environ))
    pids = forks.folder / "pids"
    await other.close()
    await forks.server.close()
    assert await process.exited == UNKNOWN_END
    assert not any(alive(int(pid)) for pid in (pids.read_text().split() if pids.exists() else ()))


async def test_what_was_imported_is_imported_anew_when_its_file_changed_and_only_then(forks: Forks) -> None:
    told = "from forked.loaded import WORD; import os; print(WORD, os.getppid())"
    word, first = (await forks.said(told)).split()
    assert (word, (await forks.said(told)).split()[1]) == ("one", first)
    (forks.folder / "forked_by_nobody.py").touch()
    assert (await forks.said(told)).split() == ["one", first]
    running = forks.start("import time; print(1, flush=True); time.sleep(60)")
    await until(lambda: running.last_words == "1")
    (forks.folder / "modules" / "forked" / "loaded.py").write_text("WORD = 'another'")
    word, second = (await forks.said(told)).split()
    assert word == "another"
    assert second != first
    running.terminate()
    assert await running.exited == -signal.SIGTERM, "a server that retires still tells how its last child ended"
    await until(lambda: not psutil.pid_exists(int(first)))


async def test_a_module_that_cannot_be_imported_before_a_fork_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with forking(tmp_path, monkeypatch, "no_such_module") as forks:
        process = forks.start("print(1)")
        assert await process.exited == 2
        assert "RELAYRUN_PRELOAD: no_such_module cannot be imported" in process.last_words


async def test_a_module_that_starts_a_thread_is_refused_with_the_thread_s_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with forking(tmp_path, monkeypatch, "threaded") as forks:
        (tmp_path / "modules" / "threaded.py").write_text(
            "import threading, time\n"
            "threading.Thread(target=time.sleep, args=(60,), name='ticker', daemon=True).start()\n"
        )
        process = forks.start("print(1)")
        assert await process.exited == 2
        assert "threaded starts threads when it is imported" in process.last_words
        assert "ticker" in process.last_words


async def test_a_module_that_starts_a_native_thread_is_named_in_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with forking(tmp_path, monkeypatch, "native") as forks:
        # Of this thread `threading` knows nothing, as of those that a library in C starts.
        (tmp_path / "modules" / "native.py").write_text(
            "import _thread, time\n_thread.start_new_thread(time.sleep, (60,))\n"
        )
        assert await forks.said("import os; print(len(os.listdir('/proc/self/task')))") == "1"
        warning = "RELAYRUN_PRELOAD: native starts 1 native threads when it is imported"
        await until(lambda: warning in forks.printed.getvalue())


async def test_chance_is_each_child_s_own_also_where_a_preloaded_module_has_set_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    async with forking(tmp_path, monkeypatch, "seeds") as forks:
        seeds = "import random, numpy.random\nrandom.seed(1)\nnumpy.random.seed(1)\n"
        (tmp_path / "modules" / "seeds.py").write_text(seeds)
        code = "import random, numpy.random; print(random.random(), numpy.random.random())"
        first, second = [(await forks.said(code)).split() for _ in range(2)]
        assert first[0] != second[0]
        assert first[1] != second[1]


async def test_a_child_lives_in_its_own_environment_s_time_zone(forks: Forks) -> None:
    code = "import time; print(time.tzname[0], time.localtime(0).tm_hour)"
    assert await forks.said(code, TZ="XYZ-9") == "XYZ 9"
    assert await forks.said(code, TZ="UTC0") == "UTC 0"


async def test_a_child_has_its_own_environment_s_locale_also_where_a_preloaded_module_has_set_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with forking(tmp_path, monkeypatch, "local") as forks:
        (tmp_path / "modules" / "local.py").write_text("import locale\nlocale.setlocale(locale.LC_ALL, 'C.UTF-8')\n")
        code = "from locale import *; print(setlocale(LC_CTYPE), setlocale(LC_TIME), setlocale(LC_NUMERIC))"
        assert await forks.said(code, LC_ALL="C") == "C C C"
        assert await forks.said(code, LC_ALL="C.UTF-8") == "C.UTF-8 C C"
        assert await forks.said(code, LC_ALL="there.is.none") == "C C C"


async def test_with_us_the_server_its_children_and_what_they_started_end(tmp_path: Path) -> None:
    # A supervisor of its own, which is killed. Two children: one that ends with its lifeline, and one that is frozen.
    package = tmp_path / "modules" / "forked"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(MAIN)
    child = f"""
        import os, signal, subprocess, sys, time
        from relayrun_core.process.parent import exit_with_parent
        exit_with_parent()
        left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
        forked = os.fork()
        if not forked:
            os.setsid()
            time.sleep(60)
        with open({str(tmp_path / "pids")!r}, "a") as file:
            file.write(f"{{os.getpid()}} {{left.pid}} {{forked}} {{os.getppid()}}\\n")
        if os.environ["FROZEN"]:
            os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(60)
    """
    supervisor = f"""
        import asyncio, os, textwrap
        from relayrun_operator.local.forkserver import ForkServer
        async def main():
            server = ForkServer([])
            code = textwrap.dedent({child!r})
            for frozen in ("", "1"):
                server.start("forked", "r", {{**os.environ, "CODE": code, "FROZEN": frozen}})
            await asyncio.sleep(60)
        asyncio.run(main())
    """
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "modules")}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", dedent(supervisor), env=environment)
    pids = tmp_path / "pids"
    await until(lambda: pids.exists() and pids.read_text().count("\n") == 2)
    known = {int(pid) for line in pids.read_text().splitlines() for pid in line.split()}
    assert len(known) == 7
    assert all(map(psutil.pid_exists, known))
    process.kill()
    await process.wait()
    await until(lambda: not any(map(alive, known)))


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
