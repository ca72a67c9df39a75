"""`python -m relayrun_operator.jobs.postgres_secret SECRET KEY HOST`: the password of the chart's own Postgres.

Creates the Secret once, with `password` and, under KEY, the URL; one that exists is left as it is.
"""

import secrets
import sys
from typing import Any

from relayrun_operator.jobs.access import api_server, namespace

_CREATED, _EXISTS = 201, 409


def main() -> None:
    """Exit codes: 0 the Secret exists, 1 the API server refused."""
    name, key, host = sys.argv[1:]
    with api_server() as server:
        answer = server.post(f"/api/v1/namespaces/{namespace()}/secrets", json=secret(name, key, host))
    if answer.status_code not in {_CREATED, _EXISTS}:
        sys.exit(f"the Secret {name} could not be made: {answer.status_code} {answer.text}")


def secret(name: str, key: str, host: str) -> dict[str, Any]:
    """A Secret with a new password for the user and database `relayrun` on `host`."""
    password = secrets.token_urlsafe(24)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "relayrun"}},
        "stringData": {"password": password, key: f"postgresql://relayrun:{password}@{host}:5432/relayrun"},
    }


if __name__ == "__main__":
    main()
