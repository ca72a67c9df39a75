"""`python -m tests.support.downloads`: what tests download where they need it, all of it at once and ahead of them.

What cannot be had is told, and no more: the tests that need it skip, or fail where it is required.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from bench import langgraph_dev
from tests.support import browser, npm, pgbouncer, prometheus

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("examples/web", "tests/agent_chat_ui", "tests/javascript")


def main() -> None:
    """Download everything."""
    wanted: dict[str, Callable[[], object]] = {
        "langgraph dev": langgraph_dev.installed,
        "Chromium": browser.install,
        "PgBouncer": pgbouncer.install,
        "Prometheus": prometheus.install,
        # It holds a lock: the images are built meanwhile, with the same console.
        "console": partial(npm.run, ROOT, ROOT / "scripts" / "console.sh"),
    }
    if (path := shutil.which("npm")) is not None:
        wanted |= {folder: partial(npm.install, path, ROOT / folder) for folder in PAGES}
    with ThreadPoolExecutor() as pool:
        downloads = {name: pool.submit(download) for name, download in wanted.items()}
    for name, download in downloads.items():
        error = download.exception()
        print(f"{name}: {error or 'here'}")


if __name__ == "__main__":
    main()
