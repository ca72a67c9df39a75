"""`relayrun keys`, on a real database."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from relayrun_api.auth.keys import KeyRing
from relayrun_api.http.errors import Unauthenticated
from relayrun_cli.main import app
from relayrun_core.database import Database

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database_url: str) -> Run:
    """Runs `relayrun keys …` on a database of the test's own; answers exit code, output and what was said."""
    monkeypatch.setenv("RELAYRUN_DATABASE_URL", database_url)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["relayrun", "keys", *arguments])
        with pytest.raises(SystemExit) as ended:
            app()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


async def owner_of(database_url: str, text: str) -> str | None:
    async with Database.open(database_url, role="api") as database:
        return (await KeyRing(database).verify(text)).owner


def in_thread(run: Run):
    """The command has a loop of its own, so it runs beside the test's."""
    import asyncio

    async def call(*arguments: str) -> tuple[int, str, str]:
        return await asyncio.to_thread(run, *arguments)

    return call


async def test_a_key_is_made_used_listed_and_revoked(run: Run, database_url: str) -> None:
    keys = in_thread(run)
    code, made, said = await keys("create", "--owner", "alice", "--name", "laptop", "--expires", "30d")
    text = made.strip()
    assert (code, made.count("\n")) == (0, 1), "nothing but the key, to be piped"
    assert "not shown again" in said
    assert text not in said
    assert await owner_of(database_url, text) == "alice"

    code, listed, _ = await keys("list")
    header, row = listed.splitlines()
    assert header.split() == ["KEY", "OWNER", "ADMIN", "NAME", "CREATED", "USED", "STATE"]
    key_id = row.split()[0]
    assert text.startswith(f"relayrun_{key_id}")
    assert text not in listed
    assert "until 20" in row

    code, said, _ = await keys("revoke", key_id)
    assert (code, said) == (0, f"Revoked key {key_id} of alice.\n")
    with pytest.raises(Unauthenticated):
        await owner_of(database_url, text)
    _, listed, _ = await keys("list", "--json")
    (entry,) = json.loads(listed)
    assert (entry["id"], entry["owner"], entry["admin"], entry["name"]) == (key_id, "alice", False, "laptop")
    assert entry["revoked_at"] > entry["created_at"]


async def test_an_admins_key_as_json_says_so(run: Run) -> None:
    code, made, _ = await in_thread(run)("create", "--owner", "root", "--admin", "--json")
    entry = json.loads(made)
    assert (code, entry["admin"], entry["expires_at"]) == (0, True, None)
    assert entry["key"].startswith(f"relayrun_{entry['id']}")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["create", "--owner", ""], 2, "--owner must have"),
        (["create", "--owner", "x" * 257], 2, "--owner must have"),
        (["create", "--owner", "a\nb"], 2, "--owner must have"),
        (["create", "--owner", "a", "--expires", "soon"], 2, "for example 30d"),
        (["create", "--owner", "a", "--expires", "0d"], 2, "for example 30d"),
        (["create", "--owner", "a", "--expires", "9999999w"], 2, "longer than"),
        (["revoke", "12345678"], 1, "There is no key 12345678"),
        (["list", "--database-url", ""], 2, "Which database?"),
        (["list", "--database-url", "postgresql://127.0.0.1:1/x"], 1, "Cannot use the database"),
        (["create"], 2, "--owner"),
    ],
)
async def test_what_cannot_be_done_is_one_sentence(run: Run, arguments: list[str], code: int, sentence: str) -> None:
    ended, _, said = await in_thread(run)(*arguments)
    assert (ended, sentence in said) == (code, True), said
    assert "Traceback" not in said


async def test_without_keys_the_list_says_so(run: Run) -> None:
    assert await in_thread(run)("list") == (0, "", "No keys.\n")


async def test_in_an_apis_pod_the_database_is_the_one_in_the_file(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "url"
    monkeypatch.setenv("RELAYRUN_DATABASE_URL_FILE", str(file))
    keys = in_thread(run)
    assert (await keys("list"))[0] == 0  # the file is not there yet
    file.write_text(f"{database_url}\n")
    monkeypatch.setenv("RELAYRUN_DATABASE_URL", "postgresql://older@127.0.0.1:1/than-the-file")
    assert (await keys("list"))[0] == 0
