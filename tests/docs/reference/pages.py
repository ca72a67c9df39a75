"""Which generated pages there are."""

from __future__ import annotations

from pathlib import Path

from tests.docs.reference import chart, commands, kinds, metrics, operations, reasons, settings

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "docs" / "reference"


def pages() -> dict[str, str]:
    """The text of each generated page, by its file name in docs/reference."""
    return {
        "agent.md": kinds.page(ROOT / "crds" / "relayrun.dev_agents.yaml"),
        "agentrun.md": kinds.page(ROOT / "crds" / "relayrun.dev_agentruns.yaml"),
        "chart-values.md": chart.page(ROOT / "charts" / "relayrun"),
        "settings.md": settings.page(),
        "cli-options.md": commands.page(),
        "operations.md": operations.page(),
        "reasons.md": reasons.page(),
        "metrics.md": metrics.page((FOLDER / "metrics.md").read_text("utf-8")),
    }
