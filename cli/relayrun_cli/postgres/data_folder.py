"""Creates the data folder, and removes it with all that belongs to it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path

from relayrun_cli.errors import PostgresError
from relayrun_cli.postgres.lock import FolderLock
from relayrun_cli.postgres.places import Places
from relayrun_cli.postgres.processes import Ours, clear_remains, send


async def remove_data(folder: Path) -> None:
    """Delete a data folder with all that belongs to it elsewhere; end a server that was left running on it.

    Raises `AlreadyRunningError` while somebody uses it.
    """
    if not await asyncio.to_thread(folder.exists):
        return
    with FolderLock(folder):
        places = Places(folder)
        ours = Ours(places.data, places.cluster_name)
        send(ours.processes(), signal.SIGQUIT, ours)
        await clear_remains(ours, places.socket)
        places.forget_socket_folder()
        if places.record.data is not None:
            shutil.rmtree(places.record.data.parent)
        shutil.rmtree(folder)


def make_folder(folder: Path) -> None:
    """Make a data folder that git ignores. Its parent must exist; permissions are never changed."""
    try:
        # As root another user must pass through to its data; what is inside has modes of its own.
        folder.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
    except OSError as error:
        raise PostgresError(f"Cannot use {folder} for data: {error.strerror}.") from error
