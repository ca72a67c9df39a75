"""The console: a page of this server's own, whose every call is the public API with its user's token."""

from pathlib import Path

#: What `npm run build` writes, and wheels and images contain.
STATIC = Path(__file__).parent / "static"


def is_built() -> bool:
    """Whether there is a page to look at: a checkout has none until `make console`."""
    return (STATIC / "index.html").is_file()
