"""The samples as a picture: how many of a hundred runs had their first event by when, and how soon runs went on."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.samples import Results, column

mpl.use("Agg")  # a file, no window


def draw(all_results: list[Results], where: str, file: Path) -> None:
    """Write the picture to a file whose ending names its format."""
    counts = sorted({count for results in all_results for count in results.by_clients})
    panels = [*counts, *(["kills"] if any(results.kills for results in all_results) else [])]
    figure = Figure(figsize=(4.2 * len(panels), 3.6), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for results in all_results:
            if panel == "kills":
                _curve(axes, column(results.kills, "next_event_ms"), results.server)
            elif panel in results.by_clients:
                _curve(axes, column(results.by_clients[int(panel)].samples, "first_event_ms"), results.server)
        what = "kill -9 → next event" if panel == "kills" else f"create → first event, {panel} at once"
        axes.set(title=what, xlabel="ms", ylabel="% of runs", xscale="log", ylim=(0, 101))
        axes.grid(visible=True, which="both", alpha=0.2)
        axes.legend(loc="lower right", fontsize="small")
    figure.supxlabel(where, fontsize="x-small", color="gray")
    figure.savefig(file, dpi=120)


def _curve(axes: Axes, values: list[float], name: str) -> None:
    if values:
        ordered = sorted(values)
        axes.step(ordered, [100 * (n + 1) / len(ordered) for n in range(len(ordered))], where="post", label=name)
