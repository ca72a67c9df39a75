"""`python -m tests.docs.check SITE`: builds the site of docs/ strictly, and checks the links of all other pages too.

The build fails for orphan pages, broken links and broken anchors within docs/. What it does not look at is looked at
here: pages elsewhere in the repository, and what a reader's browser would load from other hosts.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from markdown.extensions.toc import slugify

from tests.docs.reference.pages import FOLDER, pages

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "charts" / "relayrun" / "templates" / "monitoring.yaml"
_LINK = re.compile(r"\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]+))?\)")
_HEADING = re.compile(r"^#+ +(.+?)(?: *\{ *#([\w-]+) *\})? *$", re.MULTILINE)
_FENCE = re.compile(r"^( *)(```+).*?^\1\2", re.MULTILINE | re.DOTALL)
# What a browser fetches by itself; a link that a reader follows is none of these.
_LOADED = re.compile(
    r"""(?:<(?:script|img|iframe|source|video)\b[^>]*\bsrc=|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preconnect|icon))"""
    r"""[^>]*\bhref=|@import\s+|url\()["']?(?:https?:)?//""",
    re.IGNORECASE,
)


def main(site: Path) -> int:
    """0 when all is well, 1 with a line for each problem."""
    # Not --quiet: strict does not count the warnings that are not logged.
    built = subprocess.run(
        mkdocs("build", "--strict", "--site-dir", str(site)), check=False, cwd=ROOT, env=quiet(), capture_output=True
    )
    if built.returncode:
        print(built.stderr.decode(), file=sys.stderr)
        return 1
    problems = [
        *not_current(),
        *diagrams_not_current(),
        *broken_links(),
        *loaded_from_elsewhere(site),
        *alerts_without_runbooks(),
    ]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def mkdocs(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mkdocs", *arguments]


def quiet() -> dict[str, str]:
    return {**os.environ, "NO_MKDOCS_2_WARNING": "1"}


def not_current() -> Iterator[str]:
    """A sentence for each generated page that is not what would be generated now."""
    for name, text in pages().items():
        if not (FOLDER / name).exists() or (FOLDER / name).read_text("utf-8") != text:
            yield f"docs/reference/{name} is not current: run `make reference`"


def diagrams_not_current() -> Iterator[str]:
    """A sentence for each diagram whose drawing was made of another text."""
    for source in sorted((ROOT / "docs" / "images" / "diagrams").glob("*.mmd")):
        drawing = source.with_suffix(".svg")
        if not drawing.exists() or hashlib.sha256(source.read_bytes()).hexdigest() not in drawing.read_text("utf-8"):
            yield f"{drawing.relative_to(ROOT)} is not current: run `make diagrams`"


def broken_links() -> Iterator[str]:
    """A sentence for each relative link of a page whose file or heading is not there."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.splitlines():
        page = ROOT / name
        for target, anchor in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
            file = (page.parent / target).resolve() if target else page
            if not file.exists():
                yield f"{name}: there is no {target}"
            elif anchor and file.suffix == ".md" and anchor not in anchors(file):
                yield f"{name}: {target} has no heading #{anchor}"


@cache
def anchors(page: Path) -> set[str]:
    """The ids of a page's headings, as the site makes them and as code hosts do."""
    found: set[str] = set()
    for text, given in _HEADING.findall(_FENCE.sub("", page.read_text("utf-8"))):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("`", "")
        hosted = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found |= {given} if given else {slugify(plain, "-"), hosted}
    return found


def loaded_from_elsewhere(site: Path) -> Iterator[str]:
    """A sentence for each file of the site that has a browser fetch something from another host."""
    for file in sorted(site.rglob("*")):
        if file.suffix in (".html", ".css", ".svg") and (found := _LOADED.search(file.read_text("utf-8"))):
            yield f"{file.relative_to(site)} loads from elsewhere: {found[0]}"


def alerts_without_runbooks() -> Iterator[str]:
    """A sentence for each alert of the chart that has no page, and for each page without an alert."""
    alerts = set(re.findall(r"^ *- alert: (\w+)$", ALERTS.read_text("utf-8"), re.MULTILINE))
    pages = {page.stem for page in (ROOT / "docs" / "runbooks").glob("*.md")} - {"README"}
    for alert in sorted(alerts - pages):
        yield f"{ALERTS.relative_to(ROOT)}: alert {alert} has no page docs/runbooks/{alert}.md"
    for page in sorted(pages - alerts):
        yield f"docs/runbooks/{page}.md: the chart has no alert {page}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
