"""Who asks: JWTs, API keys, an author's own handlers, or nobody in particular.

Routes get a `Principal`; what it may see is decided by owners, unless an author's handler says otherwise.
"""

from relayrun_api.auth.authenticator import open_authenticator
from relayrun_api.auth.guard import Caller, GuardedRoute, MaybeCaller, Reader
from relayrun_api.auth.principal import Authenticator, Principal, Scope

__all__ = [
    "Authenticator",
    "Caller",
    "GuardedRoute",
    "MaybeCaller",
    "Principal",
    "Reader",
    "Scope",
    "open_authenticator",
]
