"""Bodies and answers about API keys."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from relayrun_api.http import examples as things
from relayrun_core.db.keys import ApiKey

_LONGEST = 256
_LONGEST_DAYS = 36_500
_KEY = {
    "key_id": things.KEY,
    "owner": "ann",
    "admin": False,
    "name": "the shop's backend",
    "created_at": things.BEGAN,
    "last_used_at": None,
    "expires_at": None,
    "revoked_at": None,
}


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must have printable characters only")
    return text


Label = Annotated[str, Field(min_length=1, max_length=_LONGEST), AfterValidator(_printable)]


class KeyCreate(BaseModel):
    """A new key. A member that is not known is refused: a typo must not make a key that never expires."""

    model_config = ConfigDict(extra="forbid")

    owner: Label = Field(
        description="The owner of everything that is created with the key, like the subject of a token"
    )
    admin: bool = Field(default=False, description="Whether the key may see and do everything", strict=True)
    name: Label | None = Field(default=None, description="What it is for")
    expires_in_days: float | None = Field(default=None, gt=0, le=_LONGEST_DAYS, description="Without it: never")

    @property
    def lifetime(self) -> timedelta | None:
        """How long it is valid; None: until it is revoked."""
        return None if self.expires_in_days is None else timedelta(days=self.expires_in_days)


@dataclass
class Key:
    """A key without its text, which nobody is told twice. `last_used_at` is to the hour."""

    __pydantic_config__ = things.example(**_KEY)

    key_id: str
    owner: str
    admin: bool
    name: str | None
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, row: ApiKey) -> Self:
        """What is told of a row."""
        return cls(**vars(row))


@dataclass
class NewKey(Key):
    """A key that was just made. `key` is its text: keep it, for it is told this once."""

    __pydantic_config__ = things.example(**_KEY, key="relayrun_" + things.KEY * 8)

    key: str
