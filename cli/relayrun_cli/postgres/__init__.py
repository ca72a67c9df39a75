"""PostgreSQL 18 with pgvector, run by `relayrun dev` itself: no Docker, nothing to install.

The rules are those of the durability contract's section on the embedded server; each has a test.
"""

from relayrun_cli.postgres.data_folder import remove_data
from relayrun_cli.postgres.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "remove_data"]
