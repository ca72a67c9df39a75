"""Which Agent a graph's name stands for, and where a thread goes that is new."""

from collections import Counter
from uuid import UUID

import pytest

from relayrun_core.graph_names import Claimant, drawn


@pytest.mark.parametrize("weights", [(90, 10), (1, 0), (1, 1, 2), (1_000_000, 0, 1_000_000)])
def test_new_threads_are_drawn_by_weight_and_alike_each_time(weights: tuple[int, ...]) -> None:
    sharing = [Claimant(f"a{place}", group="g", weight=weight) for place, weight in enumerate(weights)]
    keys = [str(UUID(int=number)) for number in range(2000)]
    found = [drawn(sharing, key) for key in keys]
    assert found == [drawn(sharing, key) for key in keys]
    counted = Counter(claimant.agent for claimant in found if claimant)
    for claimant in sharing:
        assert counted[claimant.agent] == pytest.approx(2000 * claimant.weight / sum(weights), abs=80)


def test_weights_of_nothing_but_0_take_nothing_new() -> None:
    assert drawn([Claimant("a", group="g", weight=0)], "key") is None
