"""Finds an agent's language models in the environment of its code. It calls none of them.

A key alone is no sign of use, as shells have keys for other programs too: then one of the provider's clients has to
be installed beside the agent. An address that is set is a sign by itself.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import SplitResult, urlsplit

from relayrun_runner.llm.providers import ANY_PROVIDER, CLIENTS, OLLAMA_PORT, PROVIDERS, Provider

Environment = Mapping[str, str]

# More are a mistake, and each costs a connection.
_MOST = 16
_LONGEST_ADDRESS = 200


@dataclass(frozen=True)
class Endpoint:
    """Where a list of models is, and how to ask for it. `url` and `headers` may hold secrets, all else none does."""

    name: str
    address: str = ""
    url: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: The variable that could have a key, and has none.
    keyless: str | None = None
    #: Why it cannot be asked, a sentence.
    problem: str | None = None


def installed_clients() -> frozenset[str]:
    """The known client packages that the agent's code can import. Looks at files."""
    return frozenset(name for name in CLIENTS if _is_installed(name))


def endpoints_of(checks: Iterable[str], env: Environment, installed: AbstractSet[str]) -> list[Endpoint]:
    """The endpoints that `checks`, the setting RELAYRUN_LLM_CHECKS, asks for, each once."""
    found: dict[str, Endpoint] = {}
    for check in checks:
        for provider in _meant_by(check, env, installed):
            endpoint = _endpoint(provider, env)
            found.setdefault(endpoint.name, endpoint)
    return list(found.values())[:_MOST]


def _meant_by(check: str, env: Environment, installed: AbstractSet[str]) -> list[Provider]:
    if check == "off":
        return []
    if check == "auto":
        return [provider for provider in PROVIDERS.values() if _is_used(provider, env, installed)]
    if check in PROVIDERS:
        return [PROVIDERS[check]]
    address, *variables = check.split()
    return [Provider("".join(variables), address, "/models", keys=tuple(variables))]


def _is_used(provider: Provider, env: Environment, installed: AbstractSet[str]) -> bool:
    variable, *others = provider.unless
    has_key = _first(env, provider.keys + provider.tokens) is not None
    has_address = _first(env, provider.addresses) is not None
    has_client = not installed.isdisjoint((ANY_PROVIDER, *provider.clients))
    if env.get(variable, "").lower() in others or (provider.needs_key and not has_key):
        return False
    if not provider.address and not has_address:
        return False
    return (has_client and (has_key or has_address)) or (has_address and not provider.needs_client)


def _endpoint(provider: Provider, env: Environment) -> Endpoint:
    variable = _first(env, provider.addresses)
    given = env[variable].strip() if variable else provider.address
    parts = _split(_ollama_address(given) if provider.name == "ollama" else given)
    if parts is None:
        source = variable or next(iter(provider.addresses), "RELAYRUN_LLM_CHECKS")
        return Endpoint(provider.name, problem=f"{source} has no address that begins with http:// or https://")
    path = parts.path.rstrip("/")
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"[:_LONGEST_ADDRESS]
    headers, broken = _headers(provider, env)
    return Endpoint(
        f"{provider.name} {address}".strip(),
        address,
        f"{parts.scheme}://{parts.netloc}{path}{provider.path}",
        headers,
        keyless=None if _first(env, provider.keys + provider.tokens) else next(iter(provider.keys), None),
        problem=f"{broken} has a line break, or another sign that no request can carry: set it anew"
        if broken
        else None,
    )


def _headers(provider: Provider, env: Environment) -> tuple[dict[str, str], str | None]:
    """The headers, or the variable whose value none can carry."""
    key, token = _first(env, provider.keys), _first(env, provider.tokens)
    sent = [(header, "", variable) for header, variable in provider.headers_from if env.get(variable)]
    if key:
        sent.append((provider.header, "Bearer " if provider.header == "Authorization" else "", key))
    if token:
        sent.append(("Authorization", "Bearer ", token))
    for _, _, variable in sent:
        value = env[variable]
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            return {}, variable
    return dict(provider.headers) | {header: prefix + env[variable] for header, prefix, variable in sent}, None


def _split(address: str) -> SplitResult | None:
    """The address in its parts; None when it is none."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if usable and address.isprintable() else None


def _ollama_address(given: str) -> str:
    """What Ollama's client makes of OLLAMA_HOST: scheme and port may be missing."""
    if "://" in given:
        return given
    host, slash, path = given.partition("/")
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):  # no port; the last group of an IPv6 address is none
        name, port = host, str(OLLAMA_PORT)
    return f"http://{name or '127.0.0.1'}:{port}{slash}{path}"


def _first(env: Environment, names: Iterable[str]) -> str | None:
    return next((name for name in names if env.get(name)), None)


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
