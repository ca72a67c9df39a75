"""The runners' token: from a Secret, which is made once when it is missing, and read again when it is refused."""

import asyncio
import base64
import logging
import secrets
import time
from typing import Any

from relayrun_operator.kube import names
from relayrun_operator.kube.client import KubeClient
from relayrun_operator.kube.errors import KubeError
from relayrun_operator.kube.manifests import token_secret

logger = logging.getLogger("relayrun.kube")

_AGAIN_SECONDS = 2.0
#: However many runners refuse it.
_RENEW_SECONDS = 1.0


class NamespaceTokens:
    """The tokens of one namespace's runners. See `Tokens` of the loop."""

    def __init__(self, client: KubeClient, secret: str, namespace: str, known: tuple[str, ...] = ()) -> None:
        self._client = client
        self._secret = secret
        self._namespace = namespace
        self._known = known
        #: What the Secret no longer has: runners may have it until their file is written anew.
        self._before: tuple[str, ...] = ()
        self._renewing = asyncio.Lock()
        self._renewed_at = float("-inf")

    def all(self) -> tuple[str, ...]:
        """See Tokens."""
        return (*self._known, *self._before)

    async def renew(self) -> None:
        """Read the Secret, unless that was done just now."""
        async with self._renewing:
            if time.monotonic() - self._renewed_at < _RENEW_SECONDS:
                return
            try:
                found = await self._client.get(names.core_path(self._namespace, "secrets", self._secret))
            except KubeError as error:
                logger.warning("the runners' token cannot be read again: %s", error)
            else:
                self._see(tokens_of(found))
            self._renewed_at = time.monotonic()

    def _see(self, found: tuple[str, ...]) -> None:
        if found and found != self._known:
            self._before = () if len(found) > 1 else tuple(one for one in self._known if one not in found)[:1]
            self._known = found
            logger.info("the runners' token has changed in Secret %s/%s", self._namespace, self._secret)


async def ensure_tokens(client: KubeClient, name: str, namespaces: list[str]) -> dict[str, NamespaceTokens]:
    """The tokens by namespace. Namespaces that lack the Secret get it; waits while one cannot be read or made."""
    found: dict[str, tuple[str, ...]] = {}
    while True:
        try:
            for namespace in namespaces:
                known = next((tokens[0] for tokens in found.values() if tokens), secrets.token_urlsafe(32))
                found[namespace] = await _tokens_of(client, name, namespace, known)
        except KubeError as error:
            logger.warning("the runners' token: %s", error)
            await asyncio.sleep(_AGAIN_SECONDS)  # back-off between two tries
        else:
            return {namespace: NamespaceTokens(client, name, namespace, known) for namespace, known in found.items()}


def tokens_of(secret: dict[str, Any]) -> tuple[str, ...]:
    """The token in a Secret, and the one before it while that is accepted too."""
    data = secret.get("data") or {}
    texts = (base64.b64decode(data.get(key) or "").decode().strip() for key in (names.TOKEN_KEY, names.PREVIOUS_KEY))
    return tuple(dict.fromkeys(filter(None, texts)))


async def _tokens_of(client: KubeClient, name: str, namespace: str, otherwise: str) -> tuple[str, ...]:
    """The tokens in a namespace's Secret, after it was made with `otherwise` if there was none."""
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
            return await _tokens_of(client, name, namespace, otherwise)
        logger.info("made Secret %s in namespace %s", name, namespace)
        return (otherwise,)
    return tokens_of(found)
