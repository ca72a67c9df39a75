"""The rehearsal of docs/how-to/backup.md: a dump in the middle of a run, restored, from which the run goes on."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_cli.postgres.binaries import binary_folder, wheel_folder
from tests.cli.dev_process import Dev, Project, running_dev
from tests.docs.check import ROOT
from tests.support.postgres import scratch_folder
from tests.support.waiting import until, until_it_is

pytestmark = pytest.mark.timeout(300)  # real processes, on a busy machine
PAGE = (ROOT / "docs" / "how-to" / "backup.md").read_text("utf-8")
RESTORED = "relayrun_rehearsal"


async def as_documented(begins: str, folder: Path, server: EmbeddedPostgres, url: str) -> None:
    """Run the line of the page that begins so, as the server's superuser."""
    [line] = re.findall(rf"^ *({begins}.*)$", PAGE, re.MULTILINE)
    where = urlsplit(server.url_of("postgres", superuser=True))
    connecting = {
        "PGHOST": parse_qs(where.query)["host"][0],
        "PGUSER": where.username or "postgres",
        "DATABASE_URL": url,
    }
    programs = f"{binary_folder(wheel_folder())}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euc", line),
        cwd=folder,
        env={**os.environ, **connecting, "PATH": programs},
        stderr=asyncio.subprocess.PIPE,
    )
    told = (await process.communicate())[1].decode()
    assert process.returncode == 0, f"{line}: {told}"


async def is_saved(dev: Dev) -> bool:
    """Whether the first step is in Postgres."""
    state = await dev.call("GET", "/threads/refund/state")
    return bool(state["values"].get("steps") == ["first one"])


async def test_a_run_goes_on_from_a_restored_dump(postgres: EmbeddedPostgres, database_url: str) -> None:
    async with scratch_folder("backup") as folder:
        project = Project(folder)
        async with running_dev(project, environment={"DATABASE_URL": database_url}, arguments=["--no-reload"]) as dev:
            run = await dev.start_run("refund")
            await until(lambda: project.effects() == ["first one", "gate one"])
            await until_it_is(lambda: is_saved(dev))
            await as_documented("pg_dump", folder, postgres, database_url)
        # What happened after the backup is not in it.
        await as_documented(f"createdb .*{RESTORED}", folder, postgres, database_url)
        try:
            await as_documented(f"pg_restore .*{RESTORED}", folder, postgres, database_url)
            restored = {"DATABASE_URL": postgres.url_of(RESTORED)}
            async with running_dev(project, environment=restored, arguments=["--no-reload"]) as dev:
                project.open_gate()
                values = await dev.join("refund", run)
            # The step that was in the middle is done again, and the finished one is not.
            assert values["steps"] == ["first one", "gate one", "last one"]
            assert project.effects() == ["first one", "gate one", "gate one", "last one"]
        finally:
            url = postgres.url_of("postgres", superuser=True)
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                await connection.execute(f"DROP DATABASE IF EXISTS {RESTORED} WITH (FORCE)")
