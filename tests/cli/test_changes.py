"""Which changes of files make dev load the code anew."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from relayrun_cli.dev.changes import Sources


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("agent.py", True),
        ("deep/er/prompts.yaml", True),
        ("prompt.jinja2", True),
        ("langgraph.json", True),
        (".env", True),
        ("notes.md", False),
        ("data.json", False),
        ("effects.txt", False),
        (".relayrun/postgres/x.py", False),
        (".venv/lib/x.py", False),
        ("a/node_modules/x.py", False),
        ("__pycache__/agent.py", False),
    ],
)
def test_code_counts_and_what_agents_and_tools_write_does_not(tmp_path: Path, path: str, counts: bool) -> None:
    assert Sources([tmp_path]).counts(tmp_path / path) is counts


def test_a_file_named_by_langgraph_json_counts_wherever_it_is(tmp_path: Path) -> None:
    elsewhere = tmp_path / "config" / "secrets.txt"
    assert Sources([tmp_path / "code"], [elsewhere]).counts(elsewhere)


def test_a_folder_that_is_itself_below_a_skipped_name_is_watched(tmp_path: Path) -> None:
    project = tmp_path / "venv" / "project"
    assert Sources([project]).counts(project / "agent.py")


def test_the_hash_is_of_contents_and_names_and_not_of_times(tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text("one")
    sources = Sources([tmp_path])
    first = sources.hash()
    (tmp_path / "agent.py").write_text("one")
    (tmp_path / "notes.md").write_text("nothing")
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "pyvenv.cfg").touch()
    (tmp_path / "env" / "x.py").write_text("not ours")
    assert sources.hash() == first
    (tmp_path / "agent.py").write_text("two")
    second = sources.hash()
    (tmp_path / "agent.py").rename(tmp_path / "renamed.py")
    assert len({first, second, sources.hash()}) == 3


async def test_changes_are_told_also_in_a_folder_that_was_made_meanwhile(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    sources = Sources([tmp_path])
    seen: list[Path] = []

    async def watch() -> None:
        async for files in sources.changes():
            seen.extend(files)

    watching = asyncio.create_task(watch())
    try:
        async with asyncio.timeout(60):
            await write_until_seen(tmp_path / "agent.py", seen)
            (tmp_path / "new").mkdir()
            await write_until_seen(tmp_path / "new" / "more.py", seen)
            (tmp_path / ".venv" / "x.py").write_text("not told")
            await write_until_seen(tmp_path / "last.py", seen)
        assert tmp_path / ".venv" / "x.py" not in seen
    finally:
        watching.cancel()


async def write_until_seen(path: Path, seen: list[Path]) -> None:
    """When watching has begun nobody says, so the file is written again and again."""
    number = 0
    while path not in seen:
        number += 1
        await asyncio.to_thread(path.write_text, str(number))
        await asyncio.sleep(0.1)
