"""Where webhooks may go, and how they are signed."""

import base64
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from relayrun_core.rotating import RotatingSecret
from relayrun_core.settings import CommaSeparated

# Standard Webhooks: 24 to 64 bytes, as they are or behind a prefix.
_SHORTEST_WEBHOOK_SECRET_BYTES = 24
_WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105 - no secret


class WebhookSettings(BaseSettings):
    """Where webhooks may go, and how they are signed."""

    model_config = SettingsConfigDict(env_prefix="RELAYRUN_", extra="ignore")

    world: Literal["local", "kubernetes"] = "local"
    #: The secret that signs webhooks: a text, or `whsec_` followed by base64.
    webhook_secret: SecretStr | None = None
    #: A file with that secret, which may change (see `relayrun_core.rotating`).
    webhook_secret_file: Path | None = None
    #: Whether receivers may be in private networks, on this machine and in the cluster, and use http. If unset: only in
    #: local mode, in private networks.
    webhook_allow_private: bool | None = None
    #: Allow only these receivers: names, or `*.example.com` for all names below one. If empty: all.
    webhook_allow_hosts: Annotated[list[str], *CommaSeparated] = []

    @property
    def private_webhooks(self) -> bool:
        """Whether receivers may be in networks that only we reach."""
        return self.world == "local" if self.webhook_allow_private is None else self.webhook_allow_private

    @property
    def webhook_secrets(self) -> RotatingSecret:
        """What webhooks are signed with."""
        value = self.webhook_secret.get_secret_value() if self.webhook_secret else ""
        return RotatingSecret(value, self.webhook_secret_file, _check_webhook_secret)

    @field_validator("webhook_secret")
    @classmethod
    def _is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check_webhook_secret(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _file_has_a_secret(self) -> Self:
        # Unsigned webhooks are refused by receivers, for good.
        if self.webhook_secret_file and not self.webhook_secrets.all():
            raise ValueError(f"RELAYRUN_WEBHOOK_SECRET_FILE: there is no secret in {self.webhook_secret_file}")
        return self


def signing_key(secret: str) -> bytes:
    """The key that a webhook secret stands for. Raises ValueError."""
    if not secret.startswith(_WEBHOOK_SECRET_PREFIX):
        return secret.encode()
    return base64.b64decode(secret.removeprefix(_WEBHOOK_SECRET_PREFIX), validate=True)


def _check_webhook_secret(secret: str) -> None:
    if len(signing_key(secret)) < _SHORTEST_WEBHOOK_SECRET_BYTES:
        raise ValueError(f"it must have at least {_SHORTEST_WEBHOOK_SECRET_BYTES} bytes: openssl rand -hex 32")
