"""The API server, as a pod's service account sees it. A Job that makes one object needs no client library."""

import os
import ssl
from pathlib import Path

import httpx

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def namespace() -> str:
    """The pod's own namespace."""
    return (_ACCOUNT / "namespace").read_text()


def api_server() -> httpx.Client:
    """A client for the API server; close it. Proxies of the environment are not asked."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    return httpx.Client(
        base_url=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        headers={"Authorization": f"Bearer {(_ACCOUNT / 'token').read_text()}"},
        verify=ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt")),
        trust_env=False,
    )
