"""The chart's alerts and dashboard, by a real Prometheus that reads what API, operator and runners really export."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from relayrun_api.metrics import Metrics
from relayrun_core.db.queue import AgentLoad
from relayrun_operator.kube.metrics import OperatorMetrics
from relayrun_runner.process.metrics import RunnerMetrics
from tests.charts.test_templates import Object, objects
from tests.support.prometheus import programs, prometheus, query
from tests.support.waiting import until_it_is

pytestmark = pytest.mark.skipif(shutil.which("helm") is None, reason="there is no helm on the PATH")

AGENT, NAMESPACE = "support", "team-a"
ON = (
    "--set=metrics.prometheusRule.enabled=true",
    "--set=metrics.podMonitor.enabled=true",
    "--set=metrics.serviceMonitor.enabled=true",
    "--set=metrics.grafanaDashboard.enabled=true",
    f"--set=watchNamespaces={{{NAMESPACE}}}",
)


def api_metrics() -> str:
    metrics = Metrics()
    metrics.answered({"method": "GET", "route": None}, 200, 0.01)
    return metrics.render([AgentLoad(AGENT, 1, 2, 700.0)]).decode()


def operator_metrics() -> str:
    metrics, name = OperatorMetrics(), f"{NAMESPACE}/{AGENT}"
    metrics.run_ended(name, "error")
    metrics.attempt_given(name, "First")
    metrics.run_started(name, 0.1)
    metrics.run_resumed(name, 0.1)
    metrics.runners_died(name, "Killed", 1)
    metrics.observe_agents([name], Counter({name: 1}), Counter({name: 2}), Counter({(name, "ready"): 3}))
    return metrics.text().decode()


def runner_metrics() -> str:
    metrics = RunnerMetrics(AGENT)
    metrics.runs.add("success")
    metrics.run_attempts.add("first")
    metrics.run_start_seconds.observe(0.1)
    metrics.run_duration_seconds.observe(1)
    metrics.journal_lag_seconds.set(30)
    metrics.loop_lag_seconds.set(0)
    return metrics.text().decode()


PARTS: dict[str, Callable[[], str]] = {"api": api_metrics, "operator": operator_metrics, "runner": runner_metrics}


def names_of(text: str) -> set[str]:
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}


def test_without_namespaces_of_their_own_the_release_s_is_looked_at() -> None:
    rules = yaml.safe_dump(objects(*ON, "--set=watchNamespaces=null")["PrometheusRule/relayrun"])
    assert 'namespace=~"relayrun"' in rules


def test_a_name_means_one_thing() -> None:
    names = [name for text in PARTS.values() for name in names_of(text()) if name.startswith("relayrun_")]
    assert [name for name, times in Counter(names).items() if times > 1] == []


@pytest.fixture(scope="module")
def rendered() -> dict[str, Object]:
    return objects(*ON)


@pytest.fixture(scope="module")
def rules(rendered: dict[str, Object]) -> str:
    return yaml.safe_dump(rendered["PrometheusRule/relayrun"]["spec"])


#: What brings an alert about: series, and when it is asked for. All else about it is as the chart has it.
ALERTS: dict[str, tuple[dict[str, str], str]] = {
    "RelayrunQueueDoesNotMove": (
        {'relayrun_queue_oldest_seconds{namespace="relayrun",agent="support"}': "700x20"},
        "5m",
    ),
    "RelayrunNoRunnerReady": (
        {
            'relayrun_queued_runs{namespace="relayrun",agent="support"}': "1x20",
            'relayrun_runners{namespace="team-a",agent="support",state="ready"}': "0x20",
            'relayrun_runners{namespace="elsewhere",agent="support",state="ready"}': "3x20",
        },
        "5m",
    ),
    "RelayrunRunsFail": (
        {
            'relayrun_agentruns_total{namespace="team-a",agent="support",outcome="error"}': "0+3x60",
            'relayrun_agentruns_total{namespace="team-a",agent="support",outcome="success"}': "0+7x60",
        },
        "50m",
    ),
    "RelayrunOperatorAway": ({'up{namespace="relayrun",pod="relayrun-operator-0"}': "0x20"}, "5m"),
    "RelayrunApiAway": ({'up{namespace="elsewhere",pod="relayrun-api-0"}': "1x20"}, "5m"),
    "RelayrunJournalLags": ({'relayrun_journal_lag_seconds{namespace="team-a",agent="support"}': "11x20"}, "5m"),
}
#: Alerts that fire for what is not there.
ABSENT = ("RelayrunOperatorAway", "RelayrunApiAway")


def cases() -> Iterator[Object]:
    """promtool's tests: each alert fires where it should, and what is elsewhere brings none about."""
    for alert, (series, at) in ALERTS.items():
        agent = {} if alert in ABSENT else {"agent": AGENT}
        severity = "warning" if alert in ("RelayrunRunsFail", "RelayrunJournalLags") else "critical"
        fires = {"exp_labels": {"severity": severity, **agent}}
        yield {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "alert_rule_test": [{"eval_time": at, "alertname": alert, "exp_alerts": [fires]}],
        }
        if alert not in ABSENT:
            elsewhere = [name.replace("team-a", "other").replace('"relayrun"', '"other"') for name in series]
            yield {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": values} for name, values in zip(elsewhere, series.values(), strict=True)
                ],
                "alert_rule_test": [{"eval_time": at, "alertname": alert, "exp_alerts": []}],
            }


def test_alerts_fire_for_what_is_of_their_release_alone(
    rules: str, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    promtool = programs(pytestconfig)["promtool"]
    (tmp_path / "rules.yaml").write_text(rules)
    names = {rule["alert"] for group in yaml.safe_load(rules)["groups"] for rule in group["rules"]}
    assert names == set(ALERTS)
    told = [_with_annotations(case, rules) for case in cases()]
    tests = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": told}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests))
    done = subprocess.run(
        [promtool, "test", "rules", "tests.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _with_annotations(case: Object, rules: str) -> Object:
    """promtool compares annotations too: they are taken from the rules, filled in."""
    of = {rule["alert"]: rule["annotations"] for group in yaml.safe_load(rules)["groups"] for rule in group["rules"]}
    for asked in case["alert_rule_test"]:
        for alert in asked["exp_alerts"]:
            told = of[asked["alertname"]]
            alert["exp_annotations"] = {key: text.replace("{{ $labels.agent }}", AGENT) for key, text in told.items()}
    return case


@contextmanager
def exporters() -> Iterator[dict[str, int]]:
    """A port for each part, which tells what it exports."""
    servers: dict[str, ThreadingHTTPServer] = {}
    for part, text in PARTS.items():
        servers[part] = ThreadingHTTPServer(("127.0.0.1", 0), _exporter(text().encode()))
        threading.Thread(target=servers[part].serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield {part: server.server_port for part, server in servers.items()}
    finally:
        for server in servers.values():
            server.shutdown()
            server.server_close()


def _exporter(text: bytes) -> type[BaseHTTPRequestHandler]:
    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Exporter


def scraping(rendered: dict[str, Object], ports: dict[str, int]) -> str:
    """A configuration as the Prometheus Operator would make of the chart's monitors."""
    operator = rendered["PodMonitor/relayrun-operator"]["spec"]["podMetricsEndpoints"][0]
    jobs = [
        ("api", "relayrun", "relayrun-api-0", False),
        ("operator", "relayrun", "relayrun-operator-0", operator["honorLabels"]),
        ("runner", NAMESPACE, "support-0", False),
    ]
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [
                {
                    "job_name": part,
                    "honor_labels": honors,
                    "static_configs": [
                        {"targets": [f"127.0.0.1:{ports[part]}"], "labels": {"namespace": namespace, "pod": pod}}
                    ],
                }
                for part, namespace, pod, honors in jobs
            ],
        }
    )


def queries(rendered: dict[str, Object]) -> dict[str, str]:
    """Every query of the dashboard, as Grafana sends it."""
    dashboard: dict[str, Any] = json.loads(rendered["ConfigMap/relayrun-dashboard"]["data"]["relayrun.json"])
    [regex] = [one["regex"] for one in dashboard["templating"]["list"] if one["name"] == "namespace"]
    filled = {"$namespace": regex.strip("/^$"), "$agent": ".*", "$__rate_interval": "1m"}
    found: dict[str, str] = {}
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in filled.items():
                expression = expression.replace(name, value)
            found[f"{panel['title']} {target['refId']}"] = expression
    return found


async def test_every_panel_of_the_dashboard_has_something_to_show(
    rendered: dict[str, Object], rules: str, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    program = programs(pytestconfig)["prometheus"]
    (tmp_path / "rules.yaml").write_text(rules)
    with exporters() as ports:
        async with prometheus(program, scraping(rendered, ports), tmp_path) as client:
            for panel, expression in queries(rendered).items():

                async def shows(expression: str = expression) -> bool:
                    return bool(await query(client, expression))

                try:
                    await until_it_is(shows)
                except TimeoutError:
                    pytest.fail(f"{panel} shows nothing: {expression}")
            assert await query(client, f'relayrun_runners{{namespace="{NAMESPACE}"}}'), "the namespace is the Agent's"
            groups = (await client.get("/api/v1/rules")).json()["data"]["groups"]
            assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
            firing = {rule["name"] for group in groups for rule in group["rules"] if rule["state"] != "inactive"}
            assert {"RelayrunQueueDoesNotMove", "RelayrunJournalLags"} <= firing
