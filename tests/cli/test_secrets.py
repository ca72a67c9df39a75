"""What opens an installation is not for author code: neither in its environment nor in any process's beside it."""

from __future__ import annotations

import json
import time
from uuid import uuid4

import httpx
import jwt
import pytest

from tests.cli.dev_process import AGENT, Project, running_dev
from tests.support.postgres import scratch_folder
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SECRETS = {
    f"RELAYRUN_{name}": f"hidden-{name}-{uuid4()}" for name in ("JWT_SECRET", "WEBHOOK_SECRET", "API_KEY", "TOKEN")
}
# As an agent may: at import, before anything of it runs, when the API may not be there yet; and in a node.
LOOK = """
import json, os
from pathlib import Path

def contents(name):
    for file in Path("/proc").glob(f"[0-9]*/{name}"):
        try:
            yield str(file), file.read_bytes().decode(errors="replace")
        except OSError:
            continue

def look(name):
    found = {"mine": dict(os.environ), "all": {**dict(contents("environ")), **dict(contents("cmdline"))}}
    file = Path(__file__).parent / name
    file.with_suffix(".part").write_text(json.dumps(found))
    file.with_suffix(".part").rename(file)

look("at_import")
"""
LOOK_AGAIN = """
noted = note

def note(name):
    look("in_a_node")
    return noted(name)
"""


async def test_author_code_finds_no_secret_of_the_installation(database_url: str) -> None:
    settings = {"RELAYRUN_AUTH": "jwt", "DATABASE_URL": database_url, "OPENAI_API_KEY": "the agent's own"}
    async with scratch_folder("secrets") as folder:
        project = Project(folder, LOOK + AGENT + LOOK_AGAIN)
        async with running_dev(project, environment={**settings, **SECRETS}) as dev:
            [api], [runner] = dev.part("relayrun_api"), dev.part("relayrun_runner")
            # They have what they need.
            claims = {"sub": "alice", "exp": time.time() + 600}
            token = jwt.encode(claims, SECRETS["RELAYRUN_JWT_SECRET"], "HS256")
            async with httpx.AsyncClient(base_url=dev.url) as http:
                assert (await http.post("/threads/search", json={})).status_code == 401
                headers = {"Authorization": f"Bearer {token}"}
                known = await http.post("/threads/search", json={}, headers=headers)
                assert (known.status_code, known.json()) == (200, [])
                body = {"assistant_id": "agent", "input": {"steps": []}}
                (await http.post("/runs", json=body, headers=headers)).raise_for_status()
            await until((project.folder / "in_a_node").exists)
            found = {name: json.loads((project.folder / name).read_text()) for name in ("at_import", "in_a_node")}
        everybody = {f"/proc/{pid}/environ" for pid in (dev.process.pid, api.pid, runner.pid)}
        assert everybody <= found["in_a_node"]["all"].keys()
        for one in found.values():
            assert one["mine"]["OPENAI_API_KEY"] == "the agent's own"
            for secret in (*SECRETS.values(), database_url):
                assert [name for name, text in one["all"].items() if secret in text] == [], secret
                assert secret not in one["mine"].values()
            for variable in ("RELAYRUN_TOKEN", "RELAYRUN_DATABASE_URL", "DATABASE_URL", "RELAYRUN_SECRETS_FD"):
                assert variable not in one["mine"]
            for file in everybody:
                assert file == f"/proc/{dev.process.pid}/environ" or "TOKEN=" not in one["all"].get(file, "")
            # Nor is a runner told how the API lets callers in.
            assert not [name for name in one["mine"] if name.startswith("RELAYRUN_AUTH") or "JWT" in name]
