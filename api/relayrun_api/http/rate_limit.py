"""The rate limit: who is counted, and how answers show it (draft-ietf-httpapi-ratelimit-headers)."""

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil

from relayrun_api.http.errors import RateLimited
from relayrun_core.db.starting import Allowance, Limit

# Whoever has one IPv6 address has, as a rule, all of its network.
_IPV6_NETWORK = 64


def subject_of(owner: str | None, address: str | None) -> str:
    """Who is counted: the owner, and without authentication the address."""
    if owner is not None:
        return f"owner:{owner}"
    return f"address:{_network_of(address or 'unknown')}"


def limit_headers(limit: Limit | None, allowance: Allowance | None) -> Mapping[str, str]:
    """`RateLimit-Policy` and `RateLimit`; nothing where there is no limit."""
    if limit is None or allowance is None:
        return {}
    window = int(limit.window.total_seconds())
    return {
        "RateLimit-Policy": f'"runs";q={limit.runs};w={window}',
        "RateLimit": f'"runs";r={allowance.remaining};t={_seconds(allowance)}',
    }


def rate_limited(limit: Limit, allowance: Allowance) -> RateLimited:
    """The refusal of one more run."""
    seconds = _seconds(allowance)
    return RateLimited(
        f"You may start {limit.runs} runs in {int(limit.window.total_seconds())} seconds and have: "
        f"try again in {seconds} seconds.",
        headers={**limit_headers(limit, allowance), "Retry-After": str(seconds)},
    )


def _seconds(allowance: Allowance) -> int:
    return max(1, ceil(allowance.seconds))


def _network_of(address: str) -> str:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ip_network((parsed, _IPV6_NETWORK), strict=False))
    return str(parsed)
