"""Certificate authorities, loaded once: httpx loads them anew for every client, for 60 ms of a processor."""

from __future__ import annotations

import os
import ssl
from functools import cache
from typing import Any

import httpx
from httpx._transports import default as transports

_load = httpx.create_ssl_context


def load_once() -> None:
    """From now on, clients that want the same authorities share one TLS context."""
    httpx.create_ssl_context = transports.create_ssl_context = _context


def _context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    return _loaded(verify, cert, trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _loaded(verify: Any, cert: Any, trust_env: bool, *_places: str | None) -> ssl.SSLContext:
    return _load(verify=verify, cert=cert, trust_env=trust_env)
