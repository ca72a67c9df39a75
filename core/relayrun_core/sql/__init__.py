"""The SQL of Relayrun, all of it: migrations as files here, the statements of each table in `relayrun_core.db`."""

from importlib.resources import files


def migrations() -> list[tuple[int, str]]:
    """The migrations as (number, SQL), in order."""
    folder = files(__name__) / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name.split("_")[0]), (folder / name).read_text("utf-8")) for name in names]
