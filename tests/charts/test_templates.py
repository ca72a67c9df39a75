"""What the chart's switches do, as `helm template` renders it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from relayrun_api.settings import ApiSettings

CHART = Path(__file__).parents[2] / "charts" / "relayrun"
DEFAULT = CHART / "ci" / "default.yaml"
EVERYTHING = CHART / "ci" / "everything.yaml"

pytestmark = pytest.mark.skipif(shutil.which("helm") is None, reason="there is no helm on the PATH")

Object = dict[str, Any]


def template(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = ["helm", "template", "relayrun", str(CHART), "-n", "relayrun", "--kube-version", "1.34", *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def render(*arguments: str) -> str:
    rendered = template("--values", str(DEFAULT), *arguments)
    assert rendered.returncode == 0, rendered.stderr
    return rendered.stdout


def objects(*arguments: str) -> dict[str, Object]:
    """Everything that is rendered, as kind/name."""
    rendered = [thing for thing in yaml.safe_load_all(render(*arguments)) if thing]
    return {f"{thing['kind']}/{thing['metadata']['name']}": thing for thing in rendered}


def job(named: dict[str, Object], part: str) -> str:
    return next(name for name in named if name.startswith(f"Job/relayrun-{part}"))


def test_nothing_is_random_and_only_other_releases_are_looked_up() -> None:
    assert render("-f", str(EVERYTHING)) == render("-f", str(EVERYTHING))
    sources = "".join(file.read_text() for file in (CHART / "templates").glob("*"))
    assert "rand" not in sources
    assert sources.count("lookup ") == 2


def test_the_migrations_job_is_another_one_for_another_image_or_other_values() -> None:
    names = {
        job(objects(*changed), "migrations")
        for changed in (
            [],
            ["--set=migrations.image.tag=2"],
            ["--set=database.secretKey=url"],
            ["--set=migrations.backoffLimit=3"],
        )
    }
    assert len(names) == 4
    assert job(objects("--set=api.replicas=5"), "migrations") in names, "what it does not use does not run it again"


def test_an_autoscaled_api_has_no_replicas_of_its_own() -> None:
    assert objects()["Deployment/relayrun-api"]["spec"]["replicas"] == 2
    scaled = objects("--set=api.autoscaling.enabled=true")
    assert "replicas" not in scaled["Deployment/relayrun-api"]["spec"]
    assert "HorizontalPodAutoscaler/relayrun-api" in scaled


def test_crds_are_kept_only_when_asked() -> None:
    crd = "CustomResourceDefinition/agentruns.relayrun.dev"
    assert objects()[crd]["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert "helm.sh/resource-policy" not in objects("--set=crds.keep=false")[crd]["metadata"].get("annotations", {})
    assert crd not in objects("--set=crds.enabled=false")


def test_a_registry_goes_before_every_image_that_names_none() -> None:
    text = render("-f", str(EVERYTHING))
    images = {line.strip().removeprefix("image: ") for line in text.splitlines() if line.strip().startswith("image: ")}
    assert images
    assert {image.split("/")[0] for image in images} == {"registry.example"}
    assert "other.example/steps:1" in text


def test_the_charts_crds_are_those_of_the_repository() -> None:
    for file in (CHART.parents[1] / "crds").glob("*.yaml"):
        assert (CHART / "files" / "crds" / file.name).read_text() == file.read_text()


def test_the_operator_reads_only_its_own_secret() -> None:
    rules = objects()["Role/relayrun-operator"]["rules"]
    secrets = [rule for rule in rules if "secrets" in rule["resources"]]
    assert [(rule["verbs"], rule.get("resourceNames")) for rule in secrets] == [
        (["create"], None),
        (["get"], ["relayrun-runner-token"]),
    ]


def test_every_pod_is_restricted() -> None:
    pods = [
        thing["spec"]["template"]["spec"]
        for thing in objects("-f", str(EVERYTHING)).values()
        if "template" in thing.get("spec", {})
    ]
    assert len(pods) >= 5
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"], "a quota refuses pods without requests"


def api_environment(*arguments: str, of: tuple[str, ...] = ("AUTH", "JWT", "RATE", "TRUSTED")) -> dict[str, Any]:
    """The API's settings, by default those of access, as `helm template` renders them."""
    (container,) = objects(*arguments)["Deployment/relayrun-api"]["spec"]["template"]["spec"]["containers"]
    named = {entry["name"].removeprefix("RELAYRUN_"): entry for entry in container["env"]}
    return {
        name: entry.get("value") or entry["valueFrom"]["secretKeyRef"]
        for name, entry in named.items()
        if name.startswith(of)
    }


def test_what_is_not_served_and_where_the_rest_is_become_the_apis_settings() -> None:
    of = ("DISABLE", "MOUNT")
    assert api_environment(of=of) == {}
    told = {"DISABLE": '["a2a","webhooks"]', "MOUNT_PREFIX": "/agents"}
    assert api_environment("-f", str(EVERYTHING), of=of) == told


def test_access_becomes_the_apis_settings() -> None:
    assert api_environment() == {"AUTH": "none", "RATE_LIMIT": "100", "RATE_LIMIT_WINDOW_SECONDS": "3600"}
    assert api_environment("-f", str(EVERYTHING)) == {
        "AUTH": "jwt,api-key",
        "JWT_JWKS_URL": "https://issuer.example.com/.well-known/jwks.json",
        "JWT_ISSUER": "https://issuer.example.com/",
        "JWT_AUDIENCE": "relayrun,chat",
        "JWT_ADMIN_CLAIM": "realm_access.roles",
        "JWT_ADMIN_VALUE": "relayrun-admin",
        "JWT_LEEWAY_SECONDS": "30",
        "RATE_LIMIT": "1000000",
        "RATE_LIMIT_WINDOW_SECONDS": "60",
        "TRUSTED_PROXIES": "10.0.0.0/8,fd00::/8",
    }
    secret = api_environment("-f", str(CHART / "ci" / "secret.yaml"))
    assert secret["JWT_SECRET"] == {"name": "tokens", "key": "hs256"}


def test_the_agent_that_says_who_may_call_becomes_the_apis_setting() -> None:
    given = api_environment("--set=api.auth=custom\\,api-key", "--set=api.authAgent=support", of=("AUTH",))
    assert given == {"AUTH": "custom,api-key", "AUTH_AGENT": "support"}
    assert api_environment("--set=api.auth=custom", of=("AUTH",)) == {"AUTH": "custom"}


def test_how_many_crons_an_owner_may_have_becomes_the_apis_setting() -> None:
    assert api_environment(of=("CRONS",)) == {"CRONS_PER_OWNER": "100"}
    assert api_environment("-f", str(EVERYTHING), of=("CRONS",)) == {"CRONS_PER_OWNER": "1000000"}


def test_how_long_threads_are_kept_becomes_the_apis_settings() -> None:
    threads = ("THREAD", "STATELESS")
    assert api_environment(of=threads) == {"STATELESS_KEEP_SECONDS": "600", "THREAD_SWEEP_SECONDS": "300"}
    given = api_environment("-f", str(EVERYTHING), of=threads)
    settings = ApiSettings(**{name.lower(): value for name, value in given.items()}, auth="none")
    assert (settings.thread_ttl_minutes, settings.stateless_keep_seconds, settings.thread_sweep_seconds) == (
        5_256_000,
        60,
        30,
    )


def test_how_long_journals_are_kept_and_searches_take_become_the_apis_settings() -> None:
    names = ("JOURNAL", "SEARCH")
    assert api_environment(of=names) == {"JOURNAL_KEEP_HOURS": "168", "SEARCH_SECONDS": "5"}
    assert api_environment("-f", str(EVERYTHING), of=names) == {"JOURNAL_KEEP_HOURS": "0", "SEARCH_SECONDS": "0.5"}


@pytest.mark.parametrize("file", ["default.yaml", "everything.yaml", "secret.yaml"])
def test_the_api_accepts_the_settings_that_the_chart_gives_it(file: str) -> None:
    given = api_environment("-f", str(CHART / "ci" / file))
    values = {name.lower(): value if isinstance(value, str) else "x" * 32 for name, value in given.items()}
    assert ApiSettings(**values, world="kubernetes").auth == values["auth"].split(",")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Say who may call the API"),
        (["api.auth=jwt"], "Give api.jwt.jwksUrl"),
        (["api.auth=jwt", "api.jwt.jwksUrl=https://a.example/keys"], "needs api.jwt.issuer and api.jwt.audience"),
        (["api.auth=jwt", "api.jwt.jwksUrl=https://a.example/keys", "api.jwt.existingSecret=a"], "Leave one out"),
        (["api.auth=jwt", "api.jwt.existingSecret=a", "api.jwt.adminClaim=roles"], "go together"),
        (["api.auth=everybody"], "api"),
        (["api.auth=none", "api.jwt.secret=in-plain"], "secret"),
        (["api.auth=api-key", "api.authAgent=support"], "api.authAgent is for api.auth=custom"),
    ],
)
def test_access_that_is_not_said_or_cannot_work_fails_with_a_sentence(arguments: list[str], sentence: str) -> None:
    failed = template(*(f"--set={argument}" for argument in arguments))
    assert failed.returncode != 0
    assert sentence in failed.stderr


def test_egress_is_open_unless_asked_and_then_each_part_has_what_it_needs() -> None:
    assert not [name for name in objects() if name.endswith("-egress")]
    rules = '[{"ports": [{"port": 443}], "to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}]'
    named = objects("--set=networkPolicy.egress.enabled=true", f"--set-json=networkPolicy.egress.runners={rules}")
    policies = {name: thing["spec"] for name, thing in named.items() if name.endswith("-egress")}
    assert {spec["policyTypes"][0] for spec in policies.values()} == {"Egress"}
    ports = {name: [[at["port"] for at in rule["ports"]] for rule in spec["egress"]] for name, spec in policies.items()}
    dns, database, kubernetes, runner, api = [53, 53], [5432], [443, 6443], [8123], [8000]
    assert ports == {
        "NetworkPolicy/relayrun-operator-egress": [dns, kubernetes, runner],
        "NetworkPolicy/relayrun-api-egress": [dns, kubernetes, database, runner, [443]],
        "NetworkPolicy/relayrun-migrations-egress": [dns, database],
        "NetworkPolicy/relayrun-runners-egress": [dns, database, api, [443]],
    }
    [to] = policies["NetworkPolicy/relayrun-runners-egress"]["egress"][2]["to"]
    api_pods = named["Deployment/relayrun-api"]["spec"]["selector"]["matchLabels"]
    assert to["podSelector"]["matchLabels"] == api_pods


def test_every_documented_upgrade_keeps_the_values_of_before() -> None:
    pages = [
        CHART.parents[1] / "README.md",
        *(CHART.parents[1] / "docs").rglob("*.md"),
        CHART / "templates" / "NOTES.txt",
    ]
    lines = [
        line for page in pages for line in page.read_text().splitlines() if line.lstrip("$ ").startswith("helm upgrade")
    ]
    assert len(lines) >= 2
    assert [line for line in lines if "--reset-then-reuse-values" not in line and " -f " not in line] == []
