"""The CRDs: what is generated is what is committed, and the rules that the API server evaluates are there."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from relayrun_operator.kube.crds import agent_crd, agentrun_crd, crd_files
from relayrun_operator.kube.schemas import structural_schema

ROOT = Path(__file__).parents[2]
FOLDERS = [folder for folder in (ROOT / "crds", ROOT / "charts/relayrun/files/crds") if folder.is_dir()]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_the_committed_crds_are_the_generated_ones(folder: Path) -> None:
    committed = {file.name: file.read_text() for file in folder.glob("*.yaml")}
    assert committed == crd_files(), "run `make crds`"


def schema_of(crd: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def fields_without_description(schema: dict[str, Any], place: str) -> list[str]:
    missing = []
    for name, part in schema.get("properties", {}).items():
        if "description" not in part and f"{place}.{name}" != ".metadata":
            missing.append(f"{place}.{name}")
        missing += fields_without_description(part, f"{place}.{name}")
        missing += fields_without_description(part.get("items", {}), f"{place}.{name}[]")
    return missing


@pytest.mark.parametrize("crd", [agent_crd(), agentrun_crd()], ids=["Agent", "AgentRun"])
def test_every_field_has_a_description(crd: dict[str, Any]) -> None:
    assert fields_without_description(schema_of(crd), "") == []


def test_a_field_without_a_description_is_an_error() -> None:
    class Silent(BaseModel):
        field: int

    with pytest.raises(LookupError, match=r"Silent\.field has no description"):
        structural_schema(Silent)


def test_every_field_of_a_run_is_immutable_but_for_two() -> None:
    spec = schema_of(agentrun_crd())["properties"]["spec"]
    guarded = {rule["fieldPath"][1:] for rule in spec["x-kubernetes-validations"] if "is immutable" in rule["message"]}
    assert set(spec["properties"]) - guarded == {"cancel", "ttlSecondsAfterFinished"}


def test_nested_defaults_are_written_out() -> None:
    runners = schema_of(agent_crd())["properties"]["spec"]["properties"]["runners"]
    assert runners["default"] == {"min": 1, "max": 10, "spare": 1, "scaleDownDelaySeconds": 300}


def test_opaque_fields_keep_what_is_in_them() -> None:
    fields = schema_of(agentrun_crd())["properties"]["spec"]["properties"]
    for name in ("input", "command", "config", "context", "runMetadata"):
        assert fields[name]["x-kubernetes-preserve-unknown-fields"] is True


def test_no_anchors_are_in_the_files() -> None:
    for text in crd_files().values():
        assert "&id" not in text
        assert yaml.safe_load(text)["kind"] == "CustomResourceDefinition"
