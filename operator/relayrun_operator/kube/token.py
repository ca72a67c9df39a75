"""The runners' bearer token: from a Secret, which is made once when it is missing."""

import asyncio
import base64
import logging
import secrets

from relayrun_operator.kube import names
from relayrun_operator.kube.client import KubeClient
from relayrun_operator.kube.errors import KubeError
from relayrun_operator.kube.manifests import token_secret

logger = logging.getLogger("relayrun.kube")

_AGAIN_SECONDS = 2.0


async def ensure_token(client: KubeClient, name: str, namespaces: list[str]) -> str:
    """The token. Namespaces that lack the Secret get it; waits while one cannot be read or made."""
    token = ""
    while True:
        try:
            for namespace in namespaces:
                token = await _token_of(client, name, namespace, token or secrets.token_urlsafe(32))
        except KubeError as error:
            logger.warning("the runners' token: %s", error)
            await asyncio.sleep(_AGAIN_SECONDS)  # back-off between two tries
        else:
            return token


async def _token_of(client: KubeClient, name: str, namespace: str, otherwise: str) -> str:
    """The token in a namespace's Secret, after it was made with `otherwise` if there was none."""
    try:
        found = await client.get(names.core_path(namespace, "secrets", name))
    except KubeError as error:
        if not error.not_found:
            raise
        made = token_secret(name, namespace, otherwise)
        try:
            await client.create(names.core_path(namespace, "secrets"), made)
        except KubeError as second:
            if not second.conflict:
                raise
            return await _token_of(client, name, namespace, otherwise)
        logger.info("made Secret %s in namespace %s", name, namespace)
        return otherwise
    return base64.b64decode((found.get("data") or {}).get(names.TOKEN_KEY, "")).decode()
