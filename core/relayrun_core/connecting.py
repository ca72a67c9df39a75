"""How a process connects to the database: where it is, as whom, and what its connections may be used for."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ConnectionSettings:
    """Where the database is, and how connections to it are kept."""

    url: str = ""
    #: A file with the URL, read for each new connection, so that a password may change there. Where it exists it wins
    #: over `url`.
    url_file: Path | None = None
    #: Whether statements are prepared; None: unless a pooler is between us and Postgres.
    prepared_statements: bool | None = None
    #: Connections that were not needed for so long are closed.
    idle_seconds: float = 60.0

    @classmethod
    def of(cls, where: "str | ConnectionSettings") -> "ConnectionSettings":
        """The same, where only a URL is given."""
        return cls(where) if isinstance(where, str) else where

    def read_url(self) -> str:
        """The URL as of now. Raises OSError and ValueError where there is none in the file."""
        if self.url_file is None or (self.url and not self.url_file.exists()):
            return self.url
        if url := self.url_file.read_text().strip():
            return url
        raise ValueError(f"{self.url_file} is empty")
