"""The embedded server: who owns it, how it is found again, and what it does after crashes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from relayrun_cli.errors import AlreadyRunningError, PostgresError
from relayrun_cli.postgres import EmbeddedPostgres, remove_data
from relayrun_cli.postgres.processes import pid_in
from tests.cli.dev_process import alive
from tests.support.postgres import scratch_folder
from tests.support.waiting import until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends Postgres to another user")

OWNER = """
import asyncio, sys
from pathlib import Path
from relayrun_cli.postgres import EmbeddedPostgres
async def main():
    async with EmbeddedPostgres(Path(sys.argv[1])) as server:
        print(server.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture(scope="module")
async def initialised() -> AsyncIterator[Path]:
    """A data folder after a first start and a clean stop, to be copied."""
    async with scratch_folder("origin") as folder:
        async with EmbeddedPostgres(folder / ".relayrun") as server:
            await write(server, "first")
        yield folder / ".relayrun"


@pytest.fixture
async def folder(initialised: Path) -> AsyncIterator[Path]:
    """A data folder of this test's own, in which "first" was written."""
    async with scratch_folder("server") as parent:
        copy(initialised, parent / ".relayrun")
        yield parent / ".relayrun"


async def write(server: EmbeddedPostgres, word: str) -> None:
    async with await psycopg.AsyncConnection.connect(server.url) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS words (word text)")
        await connection.execute("INSERT INTO words VALUES (%s)", [word])


async def words(server: EmbeddedPostgres) -> list[str]:
    async with await psycopg.AsyncConnection.connect(server.url) as connection:
        return [row[0] for row in await (await connection.execute("SELECT word FROM words")).fetchall()]


@contextmanager
def process(*command: str, user: int | None = None) -> Iterator[psutil.Process]:
    """A running command, killed at the end."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, user=user) as child:
        try:
            yield psutil.Process(child.pid)
        finally:
            child.kill()


def copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", source, target], check=True)


async def killed_owner(folder: Path) -> int:
    """Let another process start a server, kill that process with -9, and return the server's pid."""
    with psutil.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE) as owner:
        pid = int((await asyncio.to_thread(owner.stdout.readline)).decode())
        owner.kill()
        owner.wait()
    return pid


async def test_a_second_owner_is_refused_and_told_the_first_ones_pid(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as first:
        with pytest.raises(AlreadyRunningError, match=rf"process {os.getpid()}\b"):
            async with EmbeddedPostgres(folder):
                pass
        assert await words(first) == ["first"]


async def test_a_killed_postmaster_is_started_again_and_keeps_what_was_committed(folder: Path) -> None:
    said: list[str] = []
    async with EmbeddedPostgres(folder, say=said.append) as server:
        watching = asyncio.create_task(server.watch())
        await write(server, "second")
        old = psutil.Process(server.pid)
        old.kill()
        await until(lambda: any("runs again" in line for line in said))
        assert server.pid != old.pid
        assert await words(server) == ["first", "second"]
        await server.stop()
        await asyncio.wait_for(watching, 30)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every file is synced")
async def test_a_recovery_does_not_sync_file_by_file(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as server, await psycopg.AsyncConnection.connect(server.url) as connection:
        row = await (await connection.execute("SHOW recovery_init_sync_method")).fetchone()
    assert row == ("syncfs",)


async def test_a_postmaster_that_is_killed_again_and_again_also_while_it_starts_is_not_given_up(folder: Path) -> None:
    said: list[str] = []
    async with EmbeddedPostgres(folder, say=said.append) as server:
        watching = asyncio.create_task(server.watch())
        await write(server, "second")
        pids = [server.pid]
        psutil.Process(server.pid).kill()
        while len(pids) < 9:
            await until(lambda: watching.done() or pid_in(server.data / "postmaster.pid") not in (None, *pids))
            assert not watching.done(), watching
            pids.append(pid_in(server.data / "postmaster.pid"))
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pids[-1]).kill()
        killed = {f"Postgres runs again (process {pid})." for pid in pids}
        await until(lambda: any("runs again" in line for line in said if line not in killed), seconds=60)
        assert await words(server) == ["first", "second"]
        await server.stop()
        await asyncio.wait_for(watching, 30)


async def test_a_stopped_backend_of_a_killed_postmaster_does_not_hold_up_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relayrun_cli.postgres.processes.REMAINS_GRACE_SECONDS", 0.5)
    said: list[str] = []
    async with (
        EmbeddedPostgres(folder, say=said.append) as server,
        await psycopg.AsyncConnection.connect(server.url) as client,
    ):
        watching = asyncio.create_task(server.watch())
        backend = psutil.Process(client.info.backend_pid)
        backend.suspend()
        psutil.Process(server.pid).kill()
        await until(lambda: any("runs again" in line for line in said))
        assert not alive(backend)
        assert await words(server) == ["first"]
        await server.stop()
        await asyncio.wait_for(watching, 30)


async def test_a_server_whose_owner_was_killed_is_adopted(folder: Path) -> None:
    pid = await killed_owner(folder)
    owned = psutil.Process(pid)
    async with EmbeddedPostgres(folder) as server:
        assert server.pid == pid
        assert await words(server) == ["first"]
    assert not alive(owned)


async def test_when_owner_and_server_were_killed_the_next_recovers(folder: Path) -> None:
    pid = await killed_owner(folder)
    psutil.Process(pid).kill()
    async with EmbeddedPostgres(folder) as server:
        assert server.pid != pid
        assert await words(server) == ["first"]


async def test_a_running_server_whose_socket_was_cleaned_away_is_replaced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relayrun_cli.postgres.server.SOCKETLESS_SECONDS", 0.5)
    pid = await killed_owner(folder)
    record = json.loads((folder / "postgres.json").read_text())
    shutil.rmtree(record["socket_folder"])
    async with EmbeddedPostgres(folder) as server:
        assert server.pid != pid
        assert await words(server) == ["first"]


@pytest.mark.parametrize("name", ["sleep", "postgres"])
async def test_a_pid_file_that_names_an_innocent_process_is_removed_and_the_process_left_alone(
    folder: Path, name: str
) -> None:
    program = folder.parent / name
    shutil.copy("/bin/sleep", program)
    owner = (folder / "postgres").stat().st_uid
    with process(str(program), "100", user=owner) as innocent:
        (folder / "postgres" / "postmaster.pid").write_text(f"{innocent.pid}\n{folder}/postgres\n")
        async with EmbeddedPostgres(folder) as server:
            assert await words(server) == ["first"]
        assert innocent.status() == psutil.STATUS_SLEEPING


async def test_a_pid_file_that_names_a_zombie_is_removed(folder: Path) -> None:
    with process("true", user=(folder / "postgres").stat().st_uid) as zombie:
        await until(lambda: zombie.status() == psutil.STATUS_ZOMBIE)
        (folder / "postgres" / "postmaster.pid").write_text(f"{zombie.pid}\n")
        async with EmbeddedPostgres(folder) as server:
            assert await words(server) == ["first"]


async def test_a_folder_of_a_very_long_path_works() -> None:
    async with scratch_folder("long") as parent:
        deep = parent / ("d" * 100) / ("e" * 100)
        deep.mkdir(parents=True)
        async with EmbeddedPostgres(deep / ".relayrun") as server:
            await write(server, "deep")
            assert await words(server) == ["deep"]


async def test_a_runtime_folder_too_long_for_a_socket_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = folder.parent / ("r" * 100)
    runtime.mkdir(mode=0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    async with EmbeddedPostgres(folder) as server:
        assert await words(server) == ["first"]
        assert list(runtime.iterdir()) == []


async def test_the_socket_is_in_a_private_folder_of_the_runtime_folder_and_gone_after_a_clean_stop(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = folder.parent / "runtime"
    runtime.mkdir(mode=0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    async with EmbeddedPostgres(folder):
        [place] = runtime.iterdir()
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert (place / ".s.PGSQL.5432").is_socket()
    assert list(runtime.iterdir()) == []


async def test_nothing_listens_on_tcp(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as server:
        assert psutil.Process(server.pid).net_connections(kind="inet") == []


async def test_a_half_made_data_folder_is_made_again() -> None:
    async with scratch_folder("half") as parent:
        half = parent / ".relayrun" / "postgres.new"
        half.mkdir(parents=True, mode=0o711)
        (half.parent).chmod(0o711)
        (half / "PG_VERSION").write_text("18\n")
        async with EmbeddedPostgres(half.parent) as server:
            await write(server, "whole")
            assert await words(server) == ["whole"]
        assert not half.exists()


async def test_a_copy_of_a_running_servers_folder_does_not_use_the_originals_server(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as original:
        twin = folder.parent / "copy"
        copy(folder, twin)
        try:
            async with EmbeddedPostgres(twin) as copied:
                assert copied.pid != original.pid
                await write(copied, "second")
                assert await words(original) == ["first"]
        finally:
            await remove_data(twin)


async def test_data_of_another_major_version_is_refused(folder: Path) -> None:
    (folder / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(PostgresError, match="PostgreSQL 17"):
        async with EmbeddedPostgres(folder):
            pass


async def test_a_server_that_does_not_start_is_reported_with_its_log(folder: Path) -> None:
    with pytest.raises(PostgresError, match="shared_buffers"):
        async with EmbeddedPostgres(folder, settings={"shared_buffers": "no number"}):
            pass


@as_root
async def test_root_lends_the_server_to_an_existing_user_and_leaves_parents_as_they_were() -> None:
    async with scratch_folder("root") as parent:
        inner = parent / "project"
        inner.mkdir(mode=0o755)
        before = {path: (path.stat().st_mode, path.stat().st_uid) for path in [inner, *inner.parents]}
        async with EmbeddedPostgres(inner / ".relayrun") as server:
            assert psutil.Process(server.pid).uids().real != 0
            assert psutil.Process(server.pid).username() == server.user
            assert server.data == inner / ".relayrun" / "postgres"
        assert before == {path: (path.stat().st_mode, path.stat().st_uid) for path in [inner, *inner.parents]}
        await remove_data(inner / ".relayrun")


@as_root
async def test_a_folder_that_only_root_can_enter_gets_its_data_elsewhere_and_finds_it_again(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    project = tmp_path / "project"
    project.mkdir(mode=0o700)
    try:
        async with EmbeddedPostgres(project / ".relayrun", say=said.append) as server:
            await write(server, "hidden")
            data = server.data
        assert any(str(data) in line for line in said)
        assert not data.is_relative_to(project)
        moved = project.rename(tmp_path / "renamed")
        async with EmbeddedPostgres(moved / ".relayrun") as server:
            assert server.data == data
            assert await words(server) == ["hidden"]
    finally:
        for place in (project, tmp_path / "renamed"):
            await remove_data(place / ".relayrun")
    assert not data.exists()
    assert stat.S_IMODE((tmp_path / "renamed").stat().st_mode) == 0o700


@as_root
async def test_binaries_that_only_root_can_reach_are_copied(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from relayrun_cli.postgres import binaries, places

    monkeypatch.setattr(places, "ROOT_FOLDERS", (folder.parent / "shared",))
    hidden = tmp_path / "site-packages"
    hidden.mkdir(mode=0o700)
    wheel = binaries.wheel_folder()
    for source in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        copy(source, hidden / source.name)
    monkeypatch.setattr(places, "wheel_folder", lambda: hidden / wheel.name)
    async with EmbeddedPostgres(folder) as server:
        assert await words(server) == ["first"]
        assert Path(psutil.Process(server.pid).exe()).is_relative_to(folder.parent / "shared")


async def test_the_stop_of_a_stopped_server_kills_it_and_the_next_start_recovers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relayrun_cli.postgres.server.STOP_SECONDS", 0.2)
    monkeypatch.setattr("relayrun_cli.postgres.server.QUIT_SECONDS", 0.2)
    async with EmbeddedPostgres(folder) as server:
        await write(server, "second")
        psutil.Process(server.pid).send_signal(signal.SIGSTOP)
    async with EmbeddedPostgres(folder) as server:
        assert await words(server) == ["first", "second"]
