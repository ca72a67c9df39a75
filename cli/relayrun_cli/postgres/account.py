"""The user that Postgres runs as. It refuses root, so under root it runs as an existing unprivileged user."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relayrun_cli.errors import PostgresError

PREFERRED_USERS = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """A user to run Postgres as; `switch` is false where that is who we are."""

    name: str
    uid: int
    gid: int
    switch: bool

    def popen(self, command: Sequence[str | Path], *, log: int, folder: Path = Path("/")) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own: it survives us, and our terminal's Ctrl-C.

        Its output goes to the descriptor `log`. The environment is nearly empty, so that no PG* or LD_*
        variable of ours leaks in. Raises `PostgresError` where we may not become that user.
        """
        try:
            return subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,
                user=self.uid if self.switch else None,
                group=self.gid if self.switch else None,
                extra_groups=[] if self.switch else None,
            )
        except OSError as error:
            raise PostgresError(f"Cannot run {command[0]} as user {self.name}: {error}") from error

    def succeeds(self, command: Sequence[str | Path]) -> bool:
        """Whether this user can run the command and it ends with 0."""
        try:
            return self.popen(command, log=subprocess.DEVNULL).wait(timeout=30) == 0
        except PostgresError:
            return False

    def can_use(self, folder: Path) -> bool:
        """Whether this user can enter and write a folder: tried, not computed, for ACLs and mounts' sake."""
        return self.succeeds(["/bin/sh", "-c", 'cd "$1" && test -w .', "sh", folder])


def account_for(data_folder: Path) -> Account:
    """The user to run Postgres as: ourselves, or, as root, the owner of existing data or a user who is there.

    Raises `PostgresError` where the data belongs to somebody else.
    """
    owner = data_folder.stat().st_uid if data_folder.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise PostgresError(f"{data_folder} belongs to {_name(owner)}: run as that user, or use another --data.")
        return Account(_name(os.geteuid()), os.geteuid(), os.getegid(), switch=False)
    if owner:
        return _account(pwd.getpwuid(owner))
    for name in PREFERRED_USERS:
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    raise PostgresError(
        "PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody: "
        "run as another user, or set DATABASE_URL."
    )


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)


def _name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return f"user {uid}"
