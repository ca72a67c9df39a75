"""The credential with which an agent's own code calls the API of its installation.

A runner writes one for each request, signed with a key that is made of the runners' token. It says for which attempt of
which run the call is, and never for whom: that stands in the run's row, which the API reads. So it is worth nothing
once the run has ended, or another attempt has taken it over; and it expires.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

import orjson
from pydantic import TypeAdapter, ValidationError

#: The header that carries it.
HEADER = "x-relayrun-loopback"
#: How long one is accepted, and how far the clocks of runner and API may differ.
LIFETIME_SECONDS = 120

# What the key is for: the runners' token opens more, and is not to be guessed from what this signs.
_PURPOSE = b"relayrun loopback v1"
_MOST_SIGNATURES = 2


@dataclass(frozen=True)
class Caller:
    """The code of a run in one of its attempts. `run_id` None: an agent's code outside of any run, as in a web app of
    its own, a handler or a factory.
    """

    run_id: UUID | None
    attempt: int


#: An agent's code outside of any run.
AGENT = Caller(None, 0)


@dataclass(frozen=True)
class _Claim:
    caller: Caller
    issued_at: int


_CLAIM = TypeAdapter(_Claim)


class InvalidCredential(Exception):
    """No runner of this installation signed it, or it has expired."""


class Signer:
    """Signs credentials and checks them; both sides have the runners' token.

    While that is replaced there are two: each signs, and one that the other side knows is enough.
    """

    def __init__(self, *runner_tokens: str) -> None:
        """Raises ValueError without a token, and for an empty one, which everybody knows."""
        if not runner_tokens or not all(runner_tokens):
            raise ValueError("the runners' token is empty")
        self._keys = [hmac.digest(token.encode(), _PURPOSE, sha256) for token in runner_tokens]

    def sign(self, caller: Caller, now: float) -> str:
        """Make a credential for a call at `now`, in seconds since 1970."""
        content = orjson.dumps(_Claim(caller, int(now)))
        return ".".join(map(_text, (content, *self._signatures(content))))

    def verify(self, credential: str, now: float) -> Caller:
        """Return the caller. Raises InvalidCredential."""
        try:
            content, *given = (base64.urlsafe_b64decode(part) for part in credential.split(".", _MOST_SIGNATURES))
        except (ValueError, binascii.Error) as error:
            raise InvalidCredential("it is not a runner's credential") from error
        if not any(hmac.compare_digest(one, ours) for one in given for ours in self._signatures(content)):
            raise InvalidCredential("no runner of this installation has signed it")
        try:
            claim = _CLAIM.validate_json(content)
        except ValidationError as error:
            raise InvalidCredential("it is of another version of Relayrun") from error
        if abs(now - claim.issued_at) > LIFETIME_SECONDS:
            raise InvalidCredential("it has expired")
        return claim.caller

    def _signatures(self, content: bytes) -> list[bytes]:
        return [hmac.digest(key, content, sha256) for key in self._keys]


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode()
