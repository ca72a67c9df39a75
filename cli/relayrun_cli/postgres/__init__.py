"""PostgreSQL 18 with pgvector, run by `relayrun dev` itself: no Docker, nothing to install.

The rules are those of the durability contract's section on the embedded server; each has a test.
"""

from relayrun_cli.postgres.server import EmbeddedPostgres, remove_data

__all__ = ["EmbeddedPostgres", "remove_data"]
