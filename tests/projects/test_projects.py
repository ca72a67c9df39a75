"""Projects in the shapes of public ones, small and our own: each starts unchanged by `relayrun dev`, and works."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_client

from tests.cli.dev_process import Dev, Project, running_dev
from tests.projects.playing import SHAPES, Shape
from tests.support.postgres import scratch_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

_HERE = Path(__file__).parent / "shapes"

EXPECTED: dict[str, Any] = {
    "research": (
        {"report": "tea past: 8; tea present: 11"},
        ["updates ['gather']", *["updates ['plan']"] * 2, *["updates ['write']"] * 4],
        ["topic"],
    ),
    "memory": (
        [
            "from the file knows nothing",
            "from the file knows I drink tea",
            "from the file knows I drink tea",
        ],
        [{"text": "I bake bread"}],
    ),
    "fullstack": ("ada likes tea", ["hello", "bob", "react agent"], [401, 401, 404], 0),
    "monorepo": [
        {"text": "Where is it?", "answer": "From north: Where is it?"},
        {"text": "Where is it?", "answer": "paid"},
    ],
    "deployment": ({"stage": "development", "routes": 1}, "development"),
    "assistant": (
        [
            [
                {
                    "action_request": {"action": "send", "args": {"text": "Re: Lunch?"}},
                    "config": {"allow_accept": True, "allow_edit": True},
                    "description": "Send?",
                }
            ]
        ],
        ["draft"],
        {"email": "Lunch?", "sent": "Yes."},
        [{"said": "hi"}, {"said": "awaited hi"}, {"said": "open hi"}, {"said": "executing"}],
        ["awaited", "by_config", "by_runtime", "main", "opened"],
    ),
    "lead": ["small heard a question", "large heard a question"],
    "supervisor": (
        [
            ("human", None, "Which?"),
            ("ai", None, ""),
            ("tool", "ask_expert", "handed over"),
            ("ai", None, ""),
            ("tool", "look_up", "it is blue"),
            ("ai", None, "it is known"),
        ],
        [
            *("__end__", "__start__"),
            *(
                f"{agent}:{node}"
                for agent in ("expert", "supervisor")
                for node in ("__end__", "__start__", "think", "tools")
            ),
        ],
    ),
    "inbox": (
        [{"to": "ada", "text": "hi"}],
        True,
        {"to": "ada", "pages": 2},
    ),
    "reviewer": ({"change": "one", "verdict": "fine: one.py"}, "fine: two.py"),
}


class Copied(Project):
    """A project as it is, and the folder in which it is started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder


@asynccontextmanager
async def started(name: str, shape: Shape, database_url: str) -> AsyncIterator[Dev]:
    async with scratch_folder(name) as folder:
        shutil.copytree(_HERE / name, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        arguments = ["-c", shape.config, "--no-reload", "--data", str(folder / ".relayrun")]
        environment = {"DATABASE_URL": database_url, "NO_COLOR": "1"}
        async with running_dev(Copied(folder / shape.start_in), arguments=arguments, environment=environment) as dev:
            yield dev


@pytest.mark.parametrize("name", SHAPES)
async def test_a_project_of_this_shape_starts_unchanged_and_works(name: str, database_url: str) -> None:
    async with started(name, SHAPES[name], database_url) as dev:
        assert "Problem" not in dev.log, dev.log
        async with get_client(url=dev.url) as client:
            told = await SHAPES[name].play(dev.url, client)
        assert told == EXPECTED[name]
        assert "Traceback" not in dev.log, dev.log
