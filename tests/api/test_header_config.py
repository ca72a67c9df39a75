"""Which headers of a request become a run's `configurable`."""

from __future__ import annotations

import pytest

from relayrun_api.runs.specs import with_headers
from relayrun_core.runner_requests import CustomHttp
from relayrun_core.runs import RunSpec

SENT = (
    ("authorization", "Bearer secret"),
    ("cookie", "secret"),
    ("x-api-key", "secret"),
    ("x-tenant-id", "1"),
    ("x-name", "n"),
    ("x-other-name", "o"),
    ("user-agent", "u"),
    ("x" * 300, "long"),
)


@pytest.mark.parametrize(
    ("includes", "excludes", "told"),
    [
        ((), (), set()),
        (("*",), (), {"x-name", "x-other-name", "user-agent"}),
        (("X-*",), (), {"x-name", "x-other-name"}),
        (("x-*name", "user-agent"), ("x-other*",), {"x-name", "user-agent"}),
        (("x-na.e",), (), set()),
        (("*",), ("*",), set()),
    ],
)
def test_the_patterns_choose(includes: tuple[str, ...], excludes: tuple[str, ...], told: set[str]) -> None:
    spec = RunSpec(config={"tags": ["t"], "configurable": {"mine": 1}})
    http = CustomHttp(header_includes=includes, header_excludes=excludes)
    made = with_headers(spec, http, SENT)
    assert set(made.config["configurable"]) == told | {"mine"}
    assert made.config["tags"] == ["t"]
