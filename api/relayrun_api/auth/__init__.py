"""Who asks: JWTs, API keys, or nobody in particular. Routes get a `Principal`; what it may see is decided by owners."""

from relayrun_api.auth.authenticator import open_authenticator
from relayrun_api.auth.guard import Caller, GuardedRoute, MaybeCaller
from relayrun_api.auth.principal import Authenticator, Principal

__all__ = ["Authenticator", "Caller", "GuardedRoute", "MaybeCaller", "Principal", "open_authenticator"]
