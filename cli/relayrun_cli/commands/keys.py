"""`relayrun keys`: API keys, made, listed and revoked in the database itself, which whoever has it may."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from relayrun_cli.api import AsJson, examples
from relayrun_cli.errors import CliError, UsageError
from relayrun_cli.output import age, print_columns, print_json, stderr
from relayrun_core.printable import one_line

if TYPE_CHECKING:
    from relayrun_core.database import Database
    from relayrun_core.db.keys import ApiKey

T = TypeVar("T")

_LONGEST_OWNER = 256
_LONGEST_DAYS = 36_500
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

_URL_FILE = "RELAYRUN_DATABASE_URL_FILE"
DatabaseUrl = Annotated[
    str,
    typer.Option(
        envvar=["RELAYRUN_DATABASE_URL", "DATABASE_URL"],
        help="The API's database: postgresql://user:password@host/name.",
        show_default=False,
    ),
]


def register(cli: typer.Typer) -> None:
    """Add the verb and its own verbs to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys in the API's database.")
    group.command("create", epilog=examples("relayrun keys create --owner alice --expires 30d"))(create)
    group.command("list", epilog=examples("relayrun keys list --json"))(listing)
    group.command("revoke", epilog=examples("relayrun keys revoke 1f0a93c2"))(revoke)
    cli.add_typer(group, name="keys")


def create(
    owner: Annotated[
        str, typer.Option(help="The owner of everything that is created with the key, like the subject of a token.")
    ],
    admin: Annotated[bool, typer.Option("--admin", help="The key may see and do everything.")] = False,
    name: Annotated[str | None, typer.Option(help="What the key is for.")] = None,
    expires: Annotated[str | None, typer.Option(help="When the key expires: 12h, 30d, 8w. Default: never.")] = None,
    as_json: AsJson = False,
    database_url: DatabaseUrl = "",
) -> None:
    """Create a key and print it. This is the only time you see it: Relayrun stores its hash."""
    for option, text in (("--owner", owner), ("--name", name)):
        if text is not None and (not 0 < len(text) <= _LONGEST_OWNER or not text.isprintable()):
            raise UsageError(f"{option} must have 1 to {_LONGEST_OWNER} printable characters.")
    # Late, as everywhere here: no other verb pays for the database's driver.
    from relayrun_core.db.keys import create_key

    lifetime = None if expires is None else _lifetime(expires)
    text, key = _in_database(
        database_url, lambda database: create_key(database, owner, admin=admin, name=name, lifetime=lifetime)
    )
    if as_json:
        print_json({"key": text, **_as_json(key)}, as_json=True)
        return
    typer.echo(text)
    until = f"until {key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else "until it is revoked"
    role = "an admin's key" if admin else "a key"
    stderr().print(f"Key {key.key_id}: {role} of {owner}, valid {until}. It is not shown again.")


def listing(as_json: AsJson = False, database_url: DatabaseUrl = "") -> None:
    """List the keys, oldest first, without their text."""
    from relayrun_core.db.keys import list_keys

    keys = _in_database(database_url, list_keys)
    if as_json:
        print_json([_as_json(key) for key in keys], as_json=True)
    elif keys:
        header = ["KEY", "OWNER", "ADMIN", "NAME", "CREATED", "USED", "STATE"]
        print_columns(header, [_row(key) for key in keys])
    else:
        stderr().print("No keys.")


def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as relayrun keys list shows it.")],
    database_url: DatabaseUrl = "",
) -> None:
    """Revoke a key permanently. The API refuses it within a few seconds."""
    from relayrun_core.db.keys import revoke_key

    revoked = _in_database(database_url, lambda database: revoke_key(database, key))
    if revoked is None:
        raise CliError(f"There is no key {key}: relayrun keys list shows the ids.")
    typer.echo(f"Revoked key {revoked.key_id} of {one_line(revoked.owner)}.")


def _in_database(url: str, ask: Callable[[Database], Awaitable[T]]) -> T:
    import asyncio

    import psycopg

    from relayrun_core.database import Database
    from relayrun_core.db.migrate import require_schema
    from relayrun_core.errors import SchemaTooOld

    if url == os.environ.get("RELAYRUN_DATABASE_URL", "") and (file := os.environ.get(_URL_FILE)):
        # In an API's pod, whose variable may be older than the database's password.
        with suppress(FileNotFoundError):
            url = Path(file).read_text().strip()
    if not url:
        raise UsageError("Which database? Name it with --database-url or RELAYRUN_DATABASE_URL.")

    async def connected() -> T:
        # Its error says what is wrong; a pool would only say that it has waited.
        await (await psycopg.AsyncConnection.connect(url, connect_timeout=10)).close()
        async with Database.open(url, role="api", timeout_seconds=10) as database:
            await require_schema(database)
            return await ask(database)

    try:
        return asyncio.run(connected())
    except SchemaTooOld as error:
        raise CliError(f"This database does not fit this version of Relayrun: {error}.") from error
    except psycopg.Error as error:
        raise CliError(f"Cannot use the database: {str(error).strip()}") from error


def _lifetime(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9]\d{0,6})([mhdw])", text)
    if found is None:
        raise UsageError(f"--expires {text} is not a duration: write a number and m, h, d or w, for example 30d.")
    lifetime = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if lifetime > timedelta(days=_LONGEST_DAYS):
        raise UsageError(
            f"--expires {text} is longer than {_LONGEST_DAYS} days: leave it out for a key that does not expire."
        )
    return lifetime


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "valid"
    return f"until {key.expires_at:%Y-%m-%d}" if key.valid(datetime.now(UTC)) else "expired"


def _row(key: ApiKey) -> list[str]:
    used = age(key.last_used_at.isoformat()) if key.last_used_at else "never"
    return [
        key.key_id,
        key.owner,
        "yes" if key.admin else "",
        key.name or "",
        age(key.created_at.isoformat()),
        used,
        _state(key),
    ]


def _as_json(key: ApiKey) -> dict[str, Any]:
    times = {"created_at": key.created_at, "last_used_at": key.last_used_at, "expires_at": key.expires_at}
    return {
        "id": key.key_id,
        "owner": key.owner,
        "admin": key.admin,
        "name": key.name,
        **{name: at and at.isoformat() for name, at in {**times, "revoked_at": key.revoked_at}.items()},
    }
