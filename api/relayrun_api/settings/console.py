"""Whether people may look at an installation in a browser, and how they sign in there."""

from typing import Self

from pydantic import model_validator

from relayrun_core.settings import CoreSettings


class ConsoleSettings(CoreSettings):
    """Whether people may look at this installation in a browser, and how they sign in there."""

    #: Whether there is a page at /console.
    console: bool = True
    #: The page signs people in at this issuer (OpenID Connect: authorization code with PKCE) as this public client. Its
    #: tokens must be ones that the API takes.
    oidc_issuer: str | None = None
    #: The public client's id at the issuer.
    oidc_client_id: str | None = None
    #: What the page asks the issuer for.
    oidc_scopes: str = "openid profile"

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.oidc_issuer is None) != (self.oidc_client_id is None):
            raise ValueError("set both RELAYRUN_OIDC_ISSUER and RELAYRUN_OIDC_CLIENT_ID, or neither")
        if self.oidc_issuer is not None and not self.oidc_issuer.startswith(("https://", "http://")):
            raise ValueError("RELAYRUN_OIDC_ISSUER must be a URL that begins with https://")
        return self
