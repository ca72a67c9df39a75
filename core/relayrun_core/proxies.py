"""Whether the environment has a proxy for an address."""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def has_proxy(url: str) -> bool:
    """Whether the environment (`HTTPS_PROXY`, `NO_PROXY`) sends calls of this address through a proxy.

    To be asked once: aiohttp's `trust_env` reads the environment and `~/.netrc` in other threads before each request,
    which costs more than the request itself.
    """
    parts = urlsplit(url)
    return parts.scheme in getproxies() and not proxy_bypass(parts.hostname or "")
