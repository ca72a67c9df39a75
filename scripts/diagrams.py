"""Draws the diagrams of docs/: `make diagrams`. Each .mmd in docs/images/diagrams becomes an .svg beside it.

The drawings are committed, so that neither the site nor a code host has to load Mermaid. It needs npm and a Chromium.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

MERMAID = "mermaid@11.17.2"
FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images" / "diagrams"
# Light, on a ground of its own, so that it can be read on a dark page too. Labels are SVG text: an <img> shows no HTML.
_CONFIG = {
    "startOnLoad": False,
    "theme": "neutral",
    "fontFamily": "sans-serif",
    "htmlLabels": False,
    "flowchart": {"htmlLabels": False},
    "securityLevel": "strict",
}
_DRAW = "async ([name, text, config]) => { mermaid.initialize(config); return (await mermaid.render(name, text)).svg }"


def digest(source: Path) -> str:
    """What a drawing says that it was made of."""
    return hashlib.sha256(source.read_bytes()).hexdigest()


def main() -> None:
    """Draw all of them."""
    browser = next(filter(None, map(shutil.which, (os.environ.get("CHROMIUM", "chromium"), "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        subprocess.run(["npm", "install", "--silent", "--ignore-scripts", "--prefix", folder, MERMAID], check=True)
        page = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"]).new_page()
        page.add_script_tag(path=Path(folder) / "node_modules" / "mermaid" / "dist" / "mermaid.min.js")
        for source in sorted(FOLDER.glob("*.mmd")):
            svg = page.evaluate(_DRAW, [source.stem, source.read_text("utf-8"), _CONFIG])
            width, height = re.search(r'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"', svg).groups()
            made = re.sub(r"max-width: [\d.]+px;", "background: white;", svg, count=1)
            made = made.replace('width="100%"', f'width="{width}" height="{height}"', 1)
            source.with_suffix(".svg").write_text(f"{made}\n<!-- {digest(source)} -->\n", "utf-8")


if __name__ == "__main__":
    main()
