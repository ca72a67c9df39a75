"""Whether people may look at an installation in a browser, and how they sign in there."""

from typing import Self

from pydantic import model_validator

from relayrun_core.settings import CoreSettings


class ConsoleSettings(CoreSettings):
    """Whether people may look at this installation in a browser, and how they sign in there."""

    #: Whether to serve the console at /console.
    console: bool = True
    #: The issuer at which the console signs people in (OpenID Connect, authorization code with PKCE). The API must
    #: accept its tokens.
    oidc_issuer: str | None = None
    #: The public client's id at the issuer.
    oidc_client_id: str | None = None
    #: The scopes that the page requests.
    oidc_scopes: str = "openid profile"

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.oidc_issuer is None) != (self.oidc_client_id is None):
            raise ValueError("set both RELAYRUN_OIDC_ISSUER and RELAYRUN_OIDC_CLIENT_ID, or neither")
        if self.oidc_issuer is not None and not self.oidc_issuer.startswith(("https://", "http://")):
            raise ValueError("RELAYRUN_OIDC_ISSUER must be a URL that begins with https://")
        return self
