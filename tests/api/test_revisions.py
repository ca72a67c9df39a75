"""What the API tells of revisions, and how it tells the operator where an open thread goes on."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from relayrun_core.db.claim import Claim, claim
from relayrun_core.db.finish import finish
from relayrun_core.ids import new_run_id
from relayrun_core.kinds.names import api_run
from relayrun_core.runs import Outcome, PendingInterrupt
from relayrun_core.states import Reason
from tests.api.cluster import Cluster
from tests.api.conftest import Api
from tests.api.test_graph_names import look_again
from tests.support.waiting import eventually

PAUSED = Outcome(Reason.WAITING_FOR_INPUT, values=b"{}", interrupts=(PendingInterrupt("0" * 32, "?", "task"),))
LISTED = [
    {"name": "two", "image": "i:2", "createdAt": "2026-02-01T00:00:00Z", "runners": 1},
    {
        "name": "one",
        "image": "i:1",
        "createdAt": "2026-01-01T00:00:00Z",
        "replacedAt": "2026-02-01T00:00:00Z",
        "pinnedUntil": "2026-02-08T00:00:00Z",
        "runners": 0,
    },
]


async def test_a_resume_names_its_threads_revision_and_open_threads_are_counted(
    clustered: Api, cluster: Cluster
) -> None:
    api = clustered
    cluster.agents[0]["spec"]["updateStrategy"] = {"threads": "Pin"}
    cluster.agents[0]["status"] |= {"currentRevision": "two", "revisions": LISTED}
    await look_again(api)
    thread = (await api.sdk.threads.create())["thread_id"]
    first = UUID((await api.sdk.runs.create(thread, "steps", input={}))["run_id"])
    await claim(api.database, Claim(first, 1, uuid4(), "r", revision="one", pinned=True))
    await finish(api.database, first, 1, PAUSED)
    found = (await api.http.get("/revisions/default")).json()
    assert [(entry["name"], entry["current"], entry["open_threads"]) for entry in found] == [
        ("two", True, 0),
        ("one", False, 1),
    ]
    assert (found[1]["pinned_until"], found[1]["image"]) == ("2026-02-08T00:00:00Z", "i:1")

    resumed = await api.sdk.runs.create(thread, "steps", command={"resume": "yes"})

    async def made() -> dict[str, Any] | None:
        return cluster.runs.get(api_run(UUID(resumed["run_id"])))

    found_run = await eventually(made)
    assert found_run is not None
    assert found_run["metadata"]["labels"] == {"relayrun.dev/revision": "one"}
    assert (await api.http.get(f"/revisions/{new_run_id()}")).json() == []
