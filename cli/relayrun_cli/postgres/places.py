"""Where the embedded server's files are: data, socket, log, and binaries its user can run.

What was chosen is recorded in `<folder>/postgres.json`, so that the next start finds the same server.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from pydantic import BaseModel, ValidationError

from relayrun_cli.errors import PostgresError
from relayrun_cli.postgres.account import Account, account_for
from relayrun_cli.postgres.binaries import INSTALLATION, WHEEL, binary_folder, wheel_folder

RECORD_FILE = "postgres.json"
DATA_FOLDER = "postgres"
LOG_FILE = "postgres.log"
SOCKET_NAME = ".s.PGSQL.5432"
# sun_path holds 108 bytes on Linux and 104 elsewhere, with the final NUL.
LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103
# Where root keeps what its own folders hide from an unprivileged user.
ROOT_FOLDERS = (Path("/var/lib/relayrun"), Path("/var/tmp/relayrun"))  # noqa: S108 - owner is checked


class Record(BaseModel):
    """What a data folder remembers about its server."""

    home: Path  # the folder this was written for: a copy of it must not use the original's server
    data: Path | None = None  # only where it is not in the folder itself
    socket_folder: Path | None = None


class Places:
    """The paths of one embedded server, below (or recorded in) `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.record = _read_record(self.folder)
        self.data = self.record.data or self.folder / DATA_FOLDER
        self.account = account_for(self.data)

    @property
    def cluster_name(self) -> str:
        """Shown in the titles of the server's processes; one per data folder."""
        return f"relayrun-{_digest(self.data)}"

    @property
    def log(self) -> Path:
        """The server's own log."""
        return self.folder / LOG_FILE

    @property
    def socket(self) -> Path | None:
        """The recorded socket's path, whether or not it exists."""
        return self.record.socket_folder / SOCKET_NAME if self.record.socket_folder else None

    @property
    def initialised(self) -> bool:
        """Whether there is data to start from."""
        return (self.data / "PG_VERSION").is_file()

    def save(self) -> None:
        """Record what was chosen, atomically."""
        path = self.folder / RECORD_FILE
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(self.record.model_dump_json(indent=2) + "\n")
        fresh.replace(path)

    def empty_data_folder(self) -> Path:
        """A new empty folder that Postgres's user can write, to be renamed to `self.data` once initialised.

        Chooses another place where that user cannot come to ours, and records it.
        """
        if self._try_folder(self.folder / DATA_FOLDER):
            self.record.data = None
        else:
            self.record.data = root_folder() / _digest(self.folder) / DATA_FOLDER
            self.record.data.parent.mkdir(mode=0o755, exist_ok=True)
            if not self._try_folder(self.record.data):
                raise PostgresError(f"User {self.account.name} can write neither {self.data} nor {self.record.data}.")
        self.data = self.record.data or self.folder / DATA_FOLDER
        self.save()
        return _being_made(self.data)

    def usable_socket_folder(self) -> Path:
        """A folder of Postgres's user alone, for the socket: the recorded one if it is still good."""
        recorded = self.record.socket_folder
        if recorded is None or not _is_private(recorded, self.account):
            self.record.socket_folder = self._new_socket_folder()
            self.save()
        assert self.record.socket_folder is not None
        return self.record.socket_folder

    def forget_socket_folder(self) -> None:
        """After a clean stop: nothing of ours stays outside the data folder."""
        folder = self.record.socket_folder
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
            self.record.socket_folder = None
            self.save()

    def binaries(self) -> Path:
        """The folder of `postgres` and `initdb`, copied to where Postgres's user can run them if need be."""
        wheel = wheel_folder()
        if self.account.succeeds([binary_folder(wheel) / "postgres", "--version"]):
            return binary_folder(wheel)
        if not self.account.switch:
            raise PostgresError(
                f"{binary_folder(wheel)}/postgres does not run here; set DATABASE_URL to a PostgreSQL 17 or newer."
            )
        return _copied_binaries(wheel, self.account)

    def _try_folder(self, data: Path) -> bool:
        folder = _being_made(data)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=False)
        if self.account.switch:
            os.chown(folder, self.account.uid, self.account.gid)
        if self.account.can_use(folder):
            return True
        folder.rmdir()
        return False

    def _new_socket_folder(self) -> Path:
        for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108
            if not parent or not Path(parent).is_dir():
                continue
            if len(os.fsencode(parent)) + len("/relayrun-12345678/" + SOCKET_NAME) > LONGEST_SOCKET_PATH:
                continue
            try:
                folder = Path(tempfile.mkdtemp(prefix="relayrun-", dir=parent))  # 0700
            except OSError:
                continue
            if self.account.switch:
                os.chown(folder, self.account.uid, self.account.gid)
            if self.account.can_use(folder):
                return folder
            folder.rmdir()
        raise PostgresError(
            "No folder for Postgres's socket: its path must be short and usable by "
            f"{self.account.name}. Set TMPDIR to such a folder."
        )


def root_folder() -> Path:
    """A folder that only root can change and everybody can enter. Raises `PostgresError` if there is none."""
    for folder in ROOT_FOLDERS:
        try:
            folder.mkdir(mode=0o755, exist_ok=True)
        except OSError:
            continue
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o022:
            return folder
    raise PostgresError(f"Cannot make a folder for Postgres's data: tried {', '.join(map(str, ROOT_FOLDERS))}.")


def _copied_binaries(wheel: Path, account: Account) -> Path:
    built = (wheel / INSTALLATION / "bin" / "postgres").stat()
    copy = root_folder() / f"binaries-{INSTALLATION}-{built.st_size}-{built.st_mtime_ns}"
    if not copy.exists():
        fresh = Path(tempfile.mkdtemp(prefix="binaries-", dir=root_folder()))
        ignore = shutil.ignore_patterns("*.a", "include", "pgxs", "pkgconfig")
        shutil.copytree(wheel / INSTALLATION, fresh / WHEEL / INSTALLATION, ignore=ignore)
        # The binaries look for their libraries relative to themselves, as auditwheel laid them out.
        if (libraries := wheel.with_name(f"{WHEEL}.libs")).is_dir():
            shutil.copytree(libraries, fresh / libraries.name)
        fresh.chmod(0o755)
        fresh.rename(copy)
    folder = binary_folder(copy / WHEEL)
    if not account.succeeds([folder / "postgres", "--version"]):
        raise PostgresError(f"User {account.name} cannot run {folder}/postgres.")
    return folder


def _read_record(folder: Path) -> Record:
    try:
        record = Record.model_validate_json((folder / RECORD_FILE).read_text())
    except (OSError, ValidationError):
        return Record(home=folder)
    if record.home == folder:
        return record
    # Moved or copied. Data outside the folder belongs to a moved folder, never to a copy.
    moved = not record.home.exists()
    return Record(home=folder, data=record.data if moved else None)


def _is_private(folder: Path, account: Account) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid and not found.st_mode & 0o077


def _being_made(data: Path) -> Path:
    return data.with_name(data.name + ".new")


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
