"""Writes `schema.sql` from a migrated database: `python -m tests.support.schema FILE` (`make schema`).

Tables are as the catalog has them, so that they are right whatever a migration did. Functions, indexes, triggers and
comments are as the migrations wrote them last, as far as the catalog still has them. The order is that in which the
migrations name things first.
"""

import asyncio
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from relayrun_core.sql import MIGRATIONS, migrations
from tests.support.postgres import session_server

HEAD = """\
-- The schema as all migrations leave it. Written by `make schema`: change it through a migration, never here.
-- LangGraph's own tables (checkpoints, checkpoint_blobs, checkpoint_writes, store) stand beside these.
"""
#: What the migrations create has these names; LangGraph's has others.
_OURS = """
    SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
        AND c.relname = ANY(%(tables)s)"""
_COLUMNS = f"""
    SELECT c.relname AS of, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required,
        a.attidentity::text AS identity, a.attgenerated::text AS generated, a.attcompression::text AS compression, a.attstorage::text AS storage,
        pg_get_expr(d.adbin, d.adrelid, true) AS value
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (c.oid, a.attnum)
    WHERE a.attrelid IN ({_OURS}) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum"""  # noqa: E501
_CONSTRAINTS = f"""
    SELECT conrelid::regclass::text AS of, conname AS name, contype::text AS kind,
        pg_get_constraintdef(oid, true) AS definition
    FROM pg_constraint WHERE conrelid IN ({_OURS}) AND contype IN ('p', 'u', 'f', 'c', 'x')
    ORDER BY 1, array_position(ARRAY['p', 'u', 'f', 'c', 'x'], contype::text), 2"""
_INDEXES = f"""
    SELECT i.indrelid::regclass::text AS of, i.indexrelid::regclass::text AS name,
        pg_get_indexdef(i.indexrelid, 0, true) AS definition
    FROM pg_index i WHERE i.indrelid IN ({_OURS})
        AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid) ORDER BY 1, 2"""
_TRIGGERS = f"""
    SELECT tgrelid::regclass::text AS of, tgname AS name, pg_get_triggerdef(oid, true) AS definition
    FROM pg_trigger WHERE tgrelid IN ({_OURS}) AND NOT tgisinternal ORDER BY 1, 2"""
_OPTIONS = f"SELECT relname AS of, reloptions AS options FROM pg_class WHERE oid IN ({_OURS}) ORDER BY 1"
_FUNCTIONS = """
    SELECT proname AS name, pg_get_functiondef(oid) AS definition, proacl::text AS rights FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND starts_with(proname, 'relayrun') ORDER BY 1, 2"""
_TABLES = """
    SELECT relname AS name, relacl::text AS rights, relrowsecurity AS row_security FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'p') ORDER BY 1"""

#: Under which name `catalog` has things of a kind, tables aside.
_LISTED = {"FUNCTION": "functions", "INDEX": "indexes", "TRIGGER": "triggers"}
_CREATES = re.compile(
    r"CREATE (?:OR REPLACE )?(?:UNIQUE |CONSTRAINT )?(TABLE|FUNCTION|INDEX|TRIGGER) (?:IF NOT EXISTS )?(\w+)"
)
_STATEMENT = re.compile(
    r"(?P<comment>(?:^--[^\n]*\n)*)^(?P<text>[A-Z](?:--[^\n]*|'(?:[^']|'')*'|\$\$.*?\$\$|[^;'$-]|-(?!-)|\$(?!\$))*;)[^\n]*\n",
    re.DOTALL | re.MULTILINE,
)
_COMMENTED = re.compile(r"^(?:ALTER TABLE \w+)?\s+(?:ADD COLUMN )?(\w+)\s+\w[^\n]*?[,; ]\s*--\s*(.*)$", re.MULTILINE)


Catalog = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Statement:
    """One statement of a migration, with the comment above it and the comments of the columns in it."""

    comment: str
    text: str
    columns: dict[str, str]

    @property
    def creates(self) -> tuple[str, str] | None:
        """What it creates: kind and name."""
        found = _CREATES.match(self.text)
        return (found[1], found[2]) if found else None

    @property
    def table(self) -> str | None:
        """The table whose columns it writes."""
        found = re.match(r"(?:CREATE|ALTER) TABLE (\w+)", self.text)
        return found[1] if found else None


def statements(sql: str) -> Iterator[Statement]:
    """The statements of a migration, in order. The comment at its top, before a blank line, is of none of them."""
    for found in _STATEMENT.finditer(sql):
        text = found[0].removeprefix(found["comment"]).strip()
        yield Statement(found["comment"], text, dict(_COMMENTED.findall(text)))


async def catalog(connection: psycopg.AsyncConnection[Any], *, tables: Iterable[str]) -> Catalog:
    """Everything that the catalog knows of our tables and functions, to be compared or written down."""
    queries = {
        "columns": _COLUMNS,
        "constraints": _CONSTRAINTS,
        "indexes": _INDEXES,
        "triggers": _TRIGGERS,
        "options": _OPTIONS,
        "functions": _FUNCTIONS,
        "tables": _TABLES,
    }
    found = {}
    async with connection.cursor(row_factory=dict_row) as cursor:
        for name, query in queries.items():
            await cursor.execute(query.encode(), {"tables": list(tables)})
            found[name] = await cursor.fetchall()
    return found


def our_tables() -> list[str]:
    """The tables that migrations create, in order; some may be gone by the last of them."""
    made = (statement.creates for _, sql in migrations() for statement in statements(sql))
    return [name for kind, name in filter(None, made) if kind == "TABLE"]


async def schema_text(url: str) -> str:
    """The schema of the migrated database at `url`."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        found = await catalog(connection, tables=our_tables())
    return "\n".join([HEAD, *_sections(found)])


def _sections(found: Catalog) -> Iterator[str]:
    every = [statement for _, sql in migrations() for statement in statements(sql)]
    latest = {statement.creates: statement for statement in every if statement.creates}
    columns: dict[tuple[str, str], str] = {}
    for statement in every:
        columns |= {(statement.table or "", name): text for name, text in statement.columns.items()}
    there = {kind: {row["name"] for row in found[rows]} for kind, rows in _LISTED.items()}
    written = set()
    for name, sql in migrations_by_name():
        parts = []
        for statement in statements(sql):
            thing = statement.creates
            if thing is None and statement.text.startswith(("DO ", "INSERT ")):
                parts.append(statement.comment + statement.text + "\n")
            if thing is None or thing in written:
                continue
            written.add(thing)
            comment = latest[thing].comment
            match thing:
                case "TABLE", table:
                    parts += [comment + text for text in _table(table, found, columns)]
                case kind, of_it if of_it in there[kind]:
                    text = re.sub("^CREATE OR REPLACE", "CREATE", latest[thing].text)
                    # Indexes without a comment stand right below their table.
                    parts.append(f"{comment}{text}\n" if comment or not parts else parts.pop() + f"{text}\n")
        title = " ".join(line.removeprefix("--").strip() for line in sql.split("\n\n")[0].splitlines())
        if parts:
            yield f"-- ===== {name.removesuffix('.sql').partition('_')[2]}: {title}\n\n" + "\n".join(parts)


def migrations_by_name() -> list[tuple[str, str]]:
    """The migrations' file names and texts, in order."""
    return [(file.name, file.read_text("utf-8")) for file in sorted(MIGRATIONS.iterdir()) if file.name.endswith(".sql")]


def _table(table: str, found: Catalog, comments: dict[tuple[str, str], str]) -> Iterator[str]:
    lines = [(_column(row), comments.get((table, row["name"]))) for row in found["columns"] if row["of"] == table]
    if not lines:
        return  # a later migration dropped it
    constraints = [row for row in found["constraints"] if row["of"] == table]
    lines += [(f"CONSTRAINT {row['name']} {row['definition']}", None) for row in constraints]
    width = 2 + max((len(text) for text, comment in lines if comment), default=0)
    written = []
    for number, (text, comment) in enumerate(lines, 1):
        ended = text + ("," if number < len(lines) else "")
        written.append(f"    {ended:<{width}}-- {comment}" if comment else f"    {ended}")
    options = next(row["options"] for row in found["options"] if row["of"] == table)
    end = f") WITH ({', '.join(options)});" if options else ");"
    yield "\n".join([f"CREATE TABLE {table} (", *written, end]) + "\n"


def _column(row: dict[str, Any]) -> str:
    kind = row["type"].replace("timestamp with time zone", "timestamptz")
    text = f"{row['name']:<20} {kind}" + (" NOT NULL" if row["required"] else "")
    if row["identity"]:
        return text + {"a": " GENERATED ALWAYS AS IDENTITY", "d": " GENERATED BY DEFAULT AS IDENTITY"}[row["identity"]]
    if row["generated"]:
        return f"{text} GENERATED ALWAYS AS ({row['value']}) STORED"
    if row["value"]:
        text += " DEFAULT " + re.sub(r"^('[^']*')::\w+$", r"\1", row["value"])
    return text


async def main(file: Path) -> None:
    """Write the schema to `file`."""
    async with session_server(langgraph=False) as server:
        await asyncio.to_thread(file.write_text, await schema_text(server.url_of("migrated")))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
