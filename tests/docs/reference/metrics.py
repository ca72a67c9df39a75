"""The tables of metrics, of the registries of the parts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from prometheus_client import CollectorRegistry

from relayrun_api.metrics import Metrics
from relayrun_operator.kube.metrics import OperatorMetrics
from relayrun_runner.process.metrics import RunnerMetrics
from tests.docs.reference.markdown import code, table, text

_BLOCK = re.compile(r"(<!-- metrics of the (\w+), by `make reference` -->\n\n).*?(<!-- end -->)", re.DOTALL)


def page(now: str) -> str:
    """The page with its tables anew."""
    registries = {
        "api": Metrics()._registry,
        "operator": OperatorMetrics().registry,
        "runners": RunnerMetrics("agent").registry,
    }
    return _BLOCK.sub(
        lambda block: (
            block[1] + table(("Name", "Type", "Labels", "What it says"), _rows(registries[block[2]])) + block[3]
        ),
        now,
    )


def _rows(registry: CollectorRegistry) -> Iterator[tuple[str, ...]]:
    for collector in list(registry._collector_to_names):
        metric = collector.describe()[0] if hasattr(collector, "describe") else next(iter(collector.collect()))
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        labels = getattr(collector, "_labelnames", ())
        yield code(name), metric.type, ", ".join(map(code, labels)), text(metric.documentation)
