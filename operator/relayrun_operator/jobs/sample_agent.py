"""`python -m relayrun_operator.jobs.sample_agent ACCOUNT AGENT`: applies an Agent (JSON), owned by a ServiceAccount.

Helm refuses to install an object together with the CRD of its kind; and what the release's ServiceAccount owns leaves
with the release.
"""

import json
import sys
import time
from typing import Any

import httpx

from relayrun_operator.jobs.access import api_server, namespace

_AGENTS = "/apis/relayrun.dev/v1alpha1/namespaces/{}/agents/{}"
_RETRY_SECONDS = 120.0
_AGAIN_SECONDS = 1.0


def main() -> None:
    """Exit codes: 0 applied, 1 the API server refused."""
    account, agent = sys.argv[1], json.loads(sys.argv[2])
    with api_server() as server:
        owner = server.get(f"/api/v1/namespaces/{namespace()}/serviceaccounts/{account}").raise_for_status().json()
        answer = apply(server, owned(agent, owner["metadata"]))
    if answer.is_error:
        sys.exit(f"the Agent {agent['metadata']['name']} was refused: {answer.status_code} {answer.text}")


def owned(agent: dict[str, Any], account: dict[str, Any]) -> dict[str, Any]:
    """The Agent with the ServiceAccount (its metadata) as its owner."""
    owner = {"apiVersion": "v1", "kind": "ServiceAccount", "name": account["name"], "uid": account["uid"]}
    return {**agent, "metadata": {**agent["metadata"], "ownerReferences": [owner]}}


def apply(
    server: httpx.Client,
    agent: dict[str, Any],
    retry_seconds: float = _RETRY_SECONDS,
    again_seconds: float = _AGAIN_SECONDS,
) -> httpx.Response:
    """Server-side apply; while the kind is not served yet, again and again. The last answer is returned."""
    give_up_at = time.monotonic() + retry_seconds
    while True:
        answer = server.patch(
            _AGENTS.format(agent["metadata"]["namespace"], agent["metadata"]["name"]),
            params={"fieldManager": "relayrun-chart", "force": "true"},
            headers={"Content-Type": "application/apply-patch+yaml"},
            content=json.dumps(agent),
        )
        if answer.status_code != httpx.codes.NOT_FOUND or time.monotonic() > give_up_at:
            return answer
        time.sleep(again_seconds)  # back-off between two tries


if __name__ == "__main__":
    main()
