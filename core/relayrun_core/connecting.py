"""How a process connects to the database. Apart from `database`, so that settings need no database driver."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ConnectionSettings:
    """Where the database is, and how connections to it are kept."""

    url: str = ""
    #: A file with the URL, read for each new connection, so that a password may change there. Where it exists it wins
    #: over `url`.
    url_file: Path | None = None
    #: Whether statements are prepared; None means unless a pooler is in between.
    prepared_statements: bool | None = None
    #: Connections that are idle for longer than this are closed.
    idle_seconds: float = 60.0

    @classmethod
    def of(cls, where: "str | ConnectionSettings") -> "ConnectionSettings":
        """Make settings of a URL; settings stay as they are."""
        return cls(where) if isinstance(where, str) else where

    def read_url(self) -> str:
        """Read the current URL. Raises OSError or ValueError when the file has none."""
        if self.url_file is None or (self.url and not self.url_file.exists()):
            return self.url
        if url := self.url_file.read_text().strip():
            return url
        raise ValueError(f"{self.url_file} is empty")
