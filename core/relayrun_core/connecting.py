"""How a process connects to the database: where it is, as whom, and what its connections may be used for."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ConnectionSettings:
    """Where the database is, and how connections to it are kept."""

    url: str = ""
    #: A file with the URL, read for each new connection, so that a password may change there. It wins over `url`.
    url_file: Path | None = None
    #: Whether statements are prepared; None: unless a pooler is between us and Postgres.
    prepared_statements: bool | None = None
    #: Connections that were not needed for so long are closed.
    idle_seconds: float = 60.0

    @classmethod
    def of(cls, where: "str | ConnectionSettings") -> "ConnectionSettings":
        """The same, where only a URL is given."""
        return cls(where) if isinstance(where, str) else where

    def current_url(self) -> str:
        """The URL as of now. Raises psycopg.OperationalError, as when the database is away, while there is none."""
        if self.url_file is None:
            return self.url
        import psycopg  # here: the operator reads settings too, and has no database

        try:
            url = self.url_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise psycopg.OperationalError(f"cannot read the database's URL from {self.url_file}: {error}") from error
        if not url:
            raise psycopg.OperationalError(f"cannot read the database's URL from {self.url_file}: it is empty")
        return url
