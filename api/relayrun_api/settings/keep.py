"""How long threads and their runs' events are kept."""

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

#: A hundred years.
LONGEST_TTL_MINUTES = 100 * 365 * 24 * 60


class KeepSettings(BaseSettings):
    """How long threads and their runs' events are kept."""

    model_config = SettingsConfigDict(env_prefix="RELAYRUN_", extra="ignore")

    #: Delete threads without a time to live of their own this long after their last update. If unset: never.
    thread_ttl_minutes: float | None = Field(default=None, gt=0, le=LONGEST_TTL_MINUTES)
    #: Delete threads of stateless runs this long after their last update.
    stateless_keep_seconds: float = Field(default=600, ge=0, le=LONGEST_TTL_MINUTES * 60)
    #: How often each API process looks for expired threads.
    thread_sweep_seconds: float = Field(default=300, gt=0, le=86400)
    #: How long after a run's end its events can be replayed. The run, its result and its thread stay. 0: forever.
    journal_keep_hours: float = Field(default=168, ge=0, le=LONGEST_TTL_MINUTES / 60)

    @property
    def journal_keep(self) -> timedelta | None:
        """How long the events of a run that has ended are kept; None: for ever."""
        return timedelta(hours=self.journal_keep_hours) if self.journal_keep_hours else None

    @property
    def thread_ttl(self) -> timedelta | None:
        """How long threads are kept that say nothing themselves; None: for ever."""
        return None if self.thread_ttl_minutes is None else timedelta(minutes=self.thread_ttl_minutes)

    @property
    def stateless_keep(self) -> timedelta:
        """How long threads of stateless runs are kept."""
        return timedelta(seconds=self.stateless_keep_seconds)
