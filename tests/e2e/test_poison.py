"""A run that kills its process wherever it picks it up ends, whatever else it does there."""

import pytest

from relayrun_core.states import Reason
from tests.support.crash import Crash

pytestmark = pytest.mark.crash


@pytest.mark.parametrize(
    ("graph", "durability", "most"),
    [
        ("poison", "sync", 2),
        ("anew", "sync", 3),  # the second attempt is the first that begins anew where the root stands
        ("handled", "sync", 3),  # and here it is perhaps the first that comes to its handler
        ("asked", "sync", 2),
        ("remembers", "sync", 2),
        ("remembers", "exit", 1),  # no checkpoint of the root: nobody goes on from what the subgraph did
    ],
)
async def test_a_run_that_kills_each_process_ends(crash: Crash, graph: str, durability: str, most: int) -> None:
    run = await crash.accept(graph, durability=durability, backoff_limit=0)
    ended = await crash.finish(run)
    assert (ended.reason, ended.failed_attempts) == (Reason.BACKOFF_LIMIT_EXCEEDED, 1)
    assert 1 <= crash.begun(run).count("kill") <= most
