"""Each alert of the chart leads to its runbook, and each runbook answers the same questions."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.charts.test_templates import objects
from tests.docs.check import ROOT, alerts_without_runbooks

PAGES = ROOT / "docs" / "runbooks"
QUESTIONS = ["What it means", "Who is affected", "How to look", "What to do", "How to know that it is over"]


def test_alerts_and_pages_are_the_same() -> None:
    assert list(alerts_without_runbooks()) == []


@pytest.mark.skipif(shutil.which("helm") is None, reason="there is no helm on the PATH")
@pytest.mark.parametrize("base", [None, "https://wiki.example.com/runbooks/"])
def test_an_alert_links_to_its_page_on_the_site(base: str | None) -> None:
    more = () if base is None else (f"--set=metrics.prometheusRule.runbookUrl={base}",)
    spec = objects("--set=metrics.prometheusRule.enabled=true", *more)["PrometheusRule/relayrun"]["spec"]
    site = re.search(r"^site_url: (.+)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    assert site is not None
    for rule in spec["groups"][0]["rules"]:
        assert rule["annotations"]["runbook_url"] == f"{base or site[1] + 'runbooks/'}{rule['alert']}/"
        severity = f"**Severity:** {rule['labels']['severity']}."
        assert severity in (PAGES / f"{rule['alert']}.md").read_text("utf-8")


@pytest.mark.parametrize("page", sorted(PAGES.glob("Relayrun*.md")), ids=lambda page: page.stem)
def test_a_runbook_answers_all_questions(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == QUESTIONS
    assert text.startswith(f"# {page.stem}\n")
