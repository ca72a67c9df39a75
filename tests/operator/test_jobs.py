"""What the chart's Jobs make."""

from __future__ import annotations

import httpx

from relayrun_operator.jobs.postgres_secret import secret
from relayrun_operator.jobs.sample_agent import apply, owned

AGENT = {"metadata": {"name": "steps", "namespace": "here"}, "spec": {"image": "steps:1"}}


def test_the_password_is_new_each_time_and_fits_into_a_url() -> None:
    one, other = (secret("relayrun-postgres", "uri", "db")["stringData"] for _ in range(2))
    assert one["password"] != other["password"]
    assert one["uri"] == f"postgresql://relayrun:{one['password']}@db:5432/relayrun"
    assert httpx.URL(one["uri"]).password == one["password"]


def test_the_sample_agent_goes_with_its_service_account() -> None:
    made = owned(AGENT, {"name": "sample", "uid": "u-1", "resourceVersion": "7"})
    assert made["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "ServiceAccount", "name": "sample", "uid": "u-1"}
    ]
    assert made["spec"] == AGENT["spec"]


def test_an_agent_is_applied_again_until_its_kind_is_served() -> None:
    answers = iter([404, 404, 201])

    def serve(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/apis/relayrun.dev/v1alpha1/namespaces/here/agents/steps"
        assert request.url.params["fieldManager"] == "relayrun-chart"
        return httpx.Response(next(answers))

    with httpx.Client(base_url="https://api", transport=httpx.MockTransport(serve)) as server:
        assert apply(server, AGENT, again_seconds=0).status_code == 201


def test_a_refusal_is_not_tried_again() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(403))
    with httpx.Client(base_url="https://api", transport=transport) as server:
        assert apply(server, AGENT).status_code == 403
