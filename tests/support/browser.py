"""A headless Chromium, and a folder served for it.

Where Chromium is missing the tests are skipped, loudly; with REQUIRE_CHROMIUM=1 it is installed where that is possible,
and fails them where it is not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from tests.support.skipping import skip_loudly

_REQUIRED = os.environ.get("REQUIRE_CHROMIUM") == "1"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_INSTALL = "apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium"


def chromium(config: pytest.Config) -> str:
    """The path of a Chromium; skips or fails where there is none."""
    install()
    found = _chromium()
    if found is None:
        sentence = "a page was NOT tested: there is no Chromium (apt-get install chromium, or name one in CHROMIUM)"
        skip_loudly(config, sentence, required="REQUIRE_CHROMIUM")
    return found


def install() -> None:
    """Install Chromium where it is missing and required, and this is possible."""
    if _chromium() is None and _REQUIRED and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["sh", "-c", _INSTALL], env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, check=True)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on a port of its own, and give its address."""
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@asynccontextmanager
async def browsing(config: pytest.Config) -> AsyncIterator[Browser]:
    """A headless Chromium."""
    path = chromium(config)
    async with async_playwright() as playwright:
        # Root has no sandbox in a container, and /dev/shm is small there.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server"]
        browser = await playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _chromium() -> str | None:
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in _NAMES if (path := shutil.which(name))), None)
