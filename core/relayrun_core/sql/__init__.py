"""The SQL of Relayrun: migrations as files here, the statements of each table in `relayrun_core.db`.

`schema.sql` shows what all migrations together make; `migrations/README.md` says how to add one.
"""

from importlib.resources import files

MIGRATIONS = files(__name__) / "migrations"


def migrations() -> list[tuple[int, str]]:
    """The migrations as (number, SQL), in order."""
    names = sorted(entry.name for entry in MIGRATIONS.iterdir() if entry.name.endswith(".sql"))
    return [(int(name.split("_")[0]), (MIGRATIONS / name).read_text("utf-8")) for name in names]
