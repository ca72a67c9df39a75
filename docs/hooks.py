"""What the site does to a page: a link to a file outside of docs/ becomes a link to the repository.

On a code host the same links lead to the files themselves.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"(\]\()(\.\.?/[^)#\s]+)")
_ROOT = Path(__file__).resolve().parents[1]


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Rewrite the links that leave docs/; one to a file that is not there stays, and so fails the build."""
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))
    files = config["edit_uri"].removesuffix("docs/").replace("/edit/", "/blob/")

    def rewritten(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[2]))
        outside = not target.startswith("docs/") and (_ROOT / target).exists()
        return f"{link[1]}{files}{target}" if outside else link[0]

    return _LINK.sub(rewritten, markdown)
