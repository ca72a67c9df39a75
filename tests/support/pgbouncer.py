"""A real PgBouncer, in transaction mode, before a server of the tests.

Debian has two that matter: 1.18 (bookworm) knows no prepared statements in this mode, 1.24 (trixie) does. Where they
are missing the tests are skipped, loudly; with REQUIRE_PGBOUNCER=1 Debian's packages are unpacked into `.bench/`, which
needs no rights, with the libraries they need, and the tests of the older one fail where that is not possible.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_cli.postgres.account import account_for
from tests.support.runner import free_port
from tests.support.skipping import skip_loudly
from tests.support.waiting import until_it_is

_REQUIRED = os.environ.get("REQUIRE_PGBOUNCER") == "1"
_UNPACKED = Path(__file__).resolve().parents[2] / ".bench" / "pgbouncer"
_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
_LOADER = "ld-linux-x86-64.so.2"
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True)
class Release:
    """A release of Debian, and what of it PgBouncer needs."""

    name: str
    packages: tuple[str, ...]
    prepares: bool

    @property
    def folder(self) -> Path:
        return _UNPACKED / self.name

    @property
    def command(self) -> list[str]:
        """The program, with the C library that it was made for."""
        places = [self.folder / place for place in _LIBRARIES]
        loader = next((place / _LOADER for place in places if (place / _LOADER).exists()), _LOADER)
        return [
            str(loader),
            "--library-path",
            ":".join(map(str, places)),
            str(self.folder / "usr/sbin/pgbouncer"),
        ]

    @property
    def works(self) -> bool:
        try:
            return subprocess.run([*self.command, "--version"], capture_output=True, check=False).returncode == 0
        except OSError:
            return False


_ALL = ("pgbouncer", "libc6", "libpam0g", "libsystemd0", "libcap2", "libaudit1", "libcap-ng0", "libgcc-s1", "zlib1g")
OLD = Release(
    "bookworm",
    (
        *_ALL,
        "libc-ares2",
        "libevent-2.1-7",
        "libssl3",
        "libzstd1",
        "liblzma5",
        "liblz4-1",
        "libgcrypt20",
        "libgpg-error0",
    ),
    prepares=False,
)
NEW = Release("trixie", (*_ALL, "libcares2", "libevent-2.1-7t64", "libssl3t64", "libzstd1"), prepares=True)


def install() -> None:
    """Download the programs where they are missing and required."""
    if not _REQUIRED or not (shutil.which("apt-get") and shutil.which("dpkg")):
        return
    for release in (OLD, NEW):
        if not release.works:
            _download(release)


def require(config: pytest.Config, release: Release) -> None:
    """Skips or fails where there is none of this release."""
    install()
    if not release.works:
        # Not every mirror has the newer release.
        required = "REQUIRE_PGBOUNCER" if release is OLD else ""
        skip_loudly(config, f"there is no PgBouncer of Debian {release.name}: NOT tested", required=required)


@asynccontextmanager
async def pgbouncer(release: Release, server: EmbeddedPostgres, database: str) -> AsyncIterator[str]:
    """A URL of this server's database through a PgBouncer that keeps few connections for many clients."""
    place = urlsplit(server.url_of(database))
    port = free_port()
    settings: dict[str, str | int] = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
        "max_client_conn": 500,
        "default_pool_size": 12,
    }
    if release.prepares:
        settings["max_prepared_statements"] = 100
    if (account := account_for(server.data)).switch:
        settings["user"] = account.name  # it refuses root as well
    folder = Path(tempfile.mkdtemp(prefix="relayrun-pgbouncer-"))
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={parse_qs(place.query)['host'][0]} user={place.username}\n\n[pgbouncer]\n"
        + "".join(f"{name} = {value}\n" for name, value in settings.items())
    )
    url = f"postgresql://{place.username}@127.0.0.1:{port}/{database}"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*release.command, folder / "pgbouncer.ini"], stdout=log, stderr=log, start_new_session=True
        )
    try:

        async def answers() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with suppress(psycopg.OperationalError):
                async with await psycopg.AsyncConnection.connect(url) as conn:
                    await conn.execute("SELECT 1")
                    return True
            return False

        await until_it_is(answers)
        yield url
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)
        shutil.rmtree(folder)


def _mirror() -> str:
    """Where the system has Debian's packages from."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()[0]


def _download(release: Release) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        source = f"deb [signed-by={_KEYS}] {_mirror()} {release.name} main\n"
        (folder / "sources.list").write_text(source)
        # Of our own: the system's know one release only, and may be read by its administrator alone.
        options = {
            "Dir::Etc::SourceList": folder / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": folder / "lists",
            "Dir::Cache": folder / "cache",
            "APT::Sandbox::User": "root",
        }
        apt = ["apt-get", "-qq", *(part for key, value in options.items() for part in ("-o", f"{key}={value}"))]
        subprocess.run([*apt, "update"], check=False)
        subprocess.run([*apt, "download", *release.packages], cwd=folder, check=False)
        unpacked = folder / "unpacked"
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, unpacked], check=True)
        if unpacked.exists() and not release.folder.exists():
            _UNPACKED.mkdir(parents=True, exist_ok=True)
            # Renamed into place: another process may unpack too, or execute it.
            new = _UNPACKED / f"{release.name}.{os.getpid()}"
            shutil.copytree(unpacked, new, symlinks=True)
            with suppress(OSError):
                new.rename(release.folder)
