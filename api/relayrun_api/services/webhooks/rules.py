"""Which receivers of webhooks may be called: by their URL, and by the addresses that their name leads to. Pure.

Whoever starts runs chooses the URL, so it must not reach what only this machine or its network can reach.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpx

from relayrun_api.errors import Invalid
from relayrun_api.models.runs import webhook_url
from relayrun_core.settings import WebhookSettings

Address = IPv4Address | IPv6Address

# Where clouds hand out credentials, beside the link-local 169.254.169.254.
_METADATA = frozenset(map(ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192")))
_SHARED = ip_network("100.64.0.0/10")  # behind carriers' NAT, and pods of some clusters
_RELAYS = tuple(map(ip_network, ("192.88.99.0/24", "2001::/32", "2002::/16", "64:ff9b:1::/48")))
_NAT64 = ip_network("64:ff9b::/96")


class Reach(Enum):
    """Who can reach an address."""

    ALL = "everybody"
    PRIVATE = "this machine or its network"
    NOBODY = "nobody who should be called"


@dataclass(frozen=True)
class WebhookRules:
    """The settings about receivers. `allow_hosts`: only these, `*.example.com` for all below; empty: all."""

    allow_private: bool = False
    allow_hosts: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: WebhookSettings) -> "WebhookRules":
        """The rules of an installation."""
        return cls(settings.private_webhooks, tuple(host.lower() for host in settings.webhook_allow_hosts))

    def check(self, text: str) -> httpx.URL:
        """The URL, if a run may be accepted with it. Raises Invalid. Addresses are looked at when it is called."""
        try:
            url = webhook_url(text)
        except ValueError as error:
            raise Invalid(f"`webhook`: {error}.") from error
        if url.scheme != "https" and not self.allow_private:
            raise Invalid("`webhook` must be an https URL: what is told of a run must not be read on the way.")
        if self.allow_hosts and not any(_matches(url.host.lower(), pattern) for pattern in self.allow_hosts):
            raise Invalid(f"`webhook`: {url.host} is not among the hosts that this installation calls.")
        if (literal := _literal(url.host)) is not None and not self.callable([literal], url.scheme):
            raise Invalid(f"`webhook`: {url.host} is not an address that this installation calls.")
        return url

    def callable(self, addresses: Iterable[Address], scheme: str) -> list[Address]:
        """Those of a receiver's addresses that may be called, in their order; without TLS private ones alone."""
        wanted = set() if scheme != "https" else {Reach.ALL}
        if self.allow_private:
            wanted.add(Reach.PRIVATE)
        return [address for address in addresses if reach_of(address) in wanted]


def reach_of(address: Address) -> Reach:
    """Who can reach the address; of one that carries another, who can reach that."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return reach_of(address.ipv4_mapped)
        if address in _NAT64:
            return reach_of(IPv4Address(int(address) & 0xFFFFFFFF))
    if address in _METADATA or any(address in relay for relay in _RELAYS):
        return Reach.NOBODY
    if address.is_loopback:
        return Reach.PRIVATE
    if address.is_unspecified or address.is_multicast or address.is_link_local or address.is_reserved:
        return Reach.NOBODY
    if address.is_global:
        return Reach.ALL
    return Reach.PRIVATE if address.is_private or address in _SHARED else Reach.NOBODY


def _matches(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
