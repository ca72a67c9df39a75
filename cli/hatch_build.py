"""Puts the other parts, the chart and the images' sources into the distribution `relayrun`.

A checkout has them beside this folder, an sdist in `parts` below it, in the same layout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PARTS = ("core", "operator", "api", "runner")
#: What the images are built from beside the packages, and the chart: `relayrun_cli.checkout` finds it.
SOURCES = (
    *("Dockerfile", "LICENSE", "pyproject.toml", "uv.lock", "charts/relayrun"),
    *("scripts/install-part", "scripts/relayrun"),
    *(f"{part}/pyproject.toml" for part in PARTS),
    # `relayrun demo`
    *(
        f"examples/steps/{name}"
        for name in ("checks.py", "cluster_demo.py", "demo.py", "graph.py", "langgraph.json", "story.py")
    ),
    *(
        f"bench/{name}.py"
        for name in (
            "__init__",
            "cluster",
            "kills",
            "langgraph_dev",
            "parts",
            "processes",
            "runs",
            "samples",
            "servers",
        )
    ),
)


class Parts(BuildHookInterface[Any]):
    """Hatchling's hook for wheels and sdists; an editable wheel needs nothing (`dev-mode-dirs`)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add files: where they are, and where they go."""
        here = Path(self.root)
        parts = here / "parts"
        top = parts if parts.is_dir() else here.parent
        packages = [f"{part}/relayrun_{part}" for part in PARTS]
        include: dict[str, str] = build_data["force_include"]
        if self.target_name == "sdist":
            include |= {str(top / path): f"parts/{path}" for path in (*packages, *SOURCES)}
        elif version != "editable":
            include |= {str(top / path): path.rpartition("/")[2] for path in packages}
            include |= {str(top / path): f"relayrun_cli/_checkout/{path}" for path in SOURCES}
            include[str(here / "pyproject.toml")] = "relayrun_cli/_checkout/cli/pyproject.toml"
