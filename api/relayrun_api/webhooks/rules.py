"""Which receivers of webhooks may be called: by their URL, and by the addresses that their name leads to. Pure.

Whoever starts runs chooses the URL, so it must not reach what only this machine or its network can reach.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import inet_aton

import httpx

from relayrun_api.http.errors import Invalid
from relayrun_api.settings import ApiSettings

_LONGEST_URL = 2048
Address = IPv4Address | IPv6Address


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(map(ip_network, text.split()))


# Tables of our own, after IANA's registries of special-purpose addresses: what Python says differs by its version.
# Where clouds hand out credentials: never called, however private receivers may be. Beside all that is link-local
# (169.254.169.254 of nearly all, 169.254.170.2 and .23 of AWS, fe80::a9fe:a9fe of OpenStack): Azure, Alibaba, Oracle,
# AWS, Google, Scaleway, Linode.
_METADATA = _networks(
    "168.63.129.16 100.100.100.200 192.0.0.192 fd00:ec2::/64 fd20:ce::254 fd00:42::42 fd00:a9fe:a9fe::1"
)
_NOBODYS = _networks(
    # this network, link-local, protocols, documentation, relays and sinks, multicast, reserved
    "0.0.0.0/8 169.254.0.0/16 192.0.0.0/24 192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 192.31.196.0/24 192.52.193.0/24"
    " 192.88.99.0/24 192.175.48.0/24 224.0.0.0/4 240.0.0.0/4"
    # of protocols (Teredo too, which carries others), documentation, 6to4, a sink, segment routing
    " 2001::/23 2001:db8::/32 3fff::/20 2002::/16 2620:4f:8000::/48 5f00::/16"
    # link-local, site-local, multicast, and NAT64 of one's own, behind which may be anything
    " fe80::/10 fec0::/10 ff00::/8 64:ff9b:1::/48"
)
_LOOPBACK = _networks("127.0.0.0/8 ::1/128")
# 100.64.0.0/10: behind carriers' NAT, and pods of some clusters. 198.18.0.0/15: tests of networks.
_PRIVATE = _networks("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 198.18.0.0/15 fc00::/7")
# Names that lead to this machine whatever a name server says, and those of a cluster's own Services.
_LOCAL_NAMES = re.compile(
    r"(?:.+\.)?localhost|localhost[46]?\.localdomain[46]?|localhost[46]|ip6-(?:localhost|loopback)|.+\.svc(?:\..+)?|.+\.cluster\.local"
)
_UNICAST = ip_network("2000::/3")
# IPv6 addresses whose last four bytes are the IPv4 address that is reached: mapped, translated, NAT64.
_CARRYING = _networks("::ffff:0:0/96 ::ffff:0:0:0/96 64:ff9b::/96")


class Reach(Enum):
    """Who can reach an address."""

    ALL = "everybody"
    PRIVATE = "this machine's network"
    LOCAL = "this machine or cluster"
    NOBODY = "nobody who should be called"


@dataclass(frozen=True)
class WebhookRules:
    """The settings about receivers. `allow_local`: this machine and the cluster's Services too. `allow_hosts`: only
    these, `*.example.com` for all below; empty: all.
    """

    allow_private: bool = False
    allow_local: bool = False
    allow_hosts: tuple[str, ...] = ()
    #: Nobody is called.
    off: bool = False

    @classmethod
    def of(cls, settings: ApiSettings) -> "WebhookRules":
        """The rules of an installation."""
        hosts = tuple(host.lower() for host in settings.webhook_allow_hosts)
        return cls(
            settings.private_webhooks, bool(settings.webhook_allow_private), hosts, "webhooks" in settings.disable
        )

    def check(self, text: str) -> httpx.URL:
        """The URL, if a run may be accepted with it. Raises Invalid. What other names lead to is looked at when it is
        called.
        """
        if self.off:
            raise Invalid("`webhook`: webhooks are turned off on this server. Leave it out, and poll the run.")
        try:
            url = webhook_url(text)
        except ValueError as error:
            raise Invalid(f"`webhook`: {error}.") from error
        if url.scheme != "https" and not self.allow_private:
            raise Invalid("`webhook` must be an https URL, so that nobody on the network can read about the run.")
        if self.allow_hosts and not any(_matches(url.host.lower(), pattern) for pattern in self.allow_hosts):
            raise Invalid(f"`webhook`: {url.host} is not one of the hosts that this installation may call.")
        literal = _literal(url.host)
        local_name = not self.allow_local and _LOCAL_NAMES.fullmatch(url.host.lower().rstrip("."))
        if local_name or (literal is not None and not self.callable([literal], url.scheme)):
            raise Invalid(
                f"`webhook`: {url.host} is not an address that this installation may call: use one that everybody can "
                "reach, or set RELAYRUN_WEBHOOK_ALLOW_PRIVATE."
            )
        return url

    def callable(self, addresses: Iterable[Address], scheme: str) -> list[Address]:
        """Those of a receiver's addresses that may be called, in their order; without TLS private ones alone."""
        wanted = set() if scheme != "https" else {Reach.ALL}
        if self.allow_private:
            wanted.add(Reach.PRIVATE)
        if self.allow_local:
            wanted.add(Reach.LOCAL)
        return [address for address in addresses if reach_of(address) in wanted]


def reach_of(address: Address) -> Reach:
    """Who can reach the address; of one that carries another, who can reach that."""
    if isinstance(address, IPv6Address):
        if any(address in network for network in _CARRYING):
            return reach_of(IPv4Address(int(address) & 0xFFFFFFFF))
        address = IPv6Address(int(address))  # without a zone
    if any(address in network for network in (*_METADATA, *_NOBODYS)):
        return Reach.NOBODY
    if any(address in network for network in _LOOPBACK):
        return Reach.LOCAL
    if any(address in network for network in _PRIVATE):
        return Reach.PRIVATE
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return Reach.NOBODY
    return Reach.ALL if address.is_global else Reach.NOBODY


def _matches(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(inet_aton(host))  # 127.1 and 2130706433 are such too
    except (OSError, UnicodeError):
        return None


def webhook_url(text: str) -> httpx.URL:
    """The URL of a receiver. Raises ValueError for what cannot be one, wherever it leads."""
    if len(text) > _LONGEST_URL:
        raise ValueError(f"it is longer than {_LONGEST_URL} characters")
    if any(character.isspace() for character in text):
        raise ValueError("it must not have spaces")
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError("it is not a URL") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("it must be a complete URL: https://host/path")
    if url.port is not None and not 0 < url.port < 65536:
        raise ValueError("its port must be between 1 and 65535")
    if url.userinfo:
        raise ValueError("it must not have a user or password: put a token into its path or query")
    try:
        url.raw_host.decode().encode("idna")  # as it is looked up
    except UnicodeError as error:
        raise ValueError("its host is not a name that can be resolved") from error
    return url
