"""Takes over databases of checkouts from before the migrations were squashed into 0001 to 0010.

Their tables are the same; their functions have other names, and the numbers of their migrations mean other files.
"""

import re
from collections.abc import Sequence

import psycopg

from relayrun_core.errors import SchemaUnknown
from relayrun_core.sql import migrations

#: Every migration of the last such checkout, in the table `relayrun_migrations`, which only such databases have.
_COMPLETE = frozenset({*range(1, 15), 21, 23, 26, 28, *range(30, 34)})
#: The squashed migrations: what came after them is applied as anywhere.
_SQUASHED = range(1, 11)

# With CASCADE go the triggers and the index that call them.
_DROP_FUNCTIONS = """
DO $$ DECLARE v_function regprocedure; BEGIN
    FOR v_function IN SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND starts_with(proname, 'relayrun_')
    LOOP EXECUTE format('DROP FUNCTION %s CASCADE', v_function); END LOOP;
END $$"""
_CALLED = re.compile(
    r"^CREATE FUNCTION .*?\$\$.*?\$\$;$|^CREATE (?:CONSTRAINT )?TRIGGER [^;]*;|^CREATE INDEX threads_expiry [^;]*;",
    re.DOTALL | re.MULTILINE,
)


async def take_over(conn: psycopg.AsyncConnection[tuple[int, ...]]) -> Sequence[int]:
    """Return the migrations that the database has in effect, and give it their functions. Call it in a transaction.

    Raises SchemaUnknown when the database is of an older checkout than the last one.
    """
    found = await (await conn.execute("SELECT to_regclass('relayrun_migrations') IS NOT NULL")).fetchone()
    if not found or not found[0]:
        return ()
    applied = {row[0] for row in await (await conn.execute("SELECT version FROM relayrun_migrations")).fetchall()}
    if applied and applied != _COMPLETE:
        raise SchemaUnknown(
            f"this database is of an older checkout of Relayrun (migration {max(applied)} of 33), whose migrations this"
            " version does not know: use an empty database; for `relayrun dev`, delete the folder .relayrun"
        )
    await conn.execute("DROP TABLE relayrun_migrations")
    if not applied:
        return ()
    await conn.execute(_DROP_FUNCTIONS.encode())
    for number, sql in migrations():
        if number in _SQUASHED:
            for called in _CALLED.finditer(sql):
                await conn.execute(called[0].encode())
    return _SQUASHED
