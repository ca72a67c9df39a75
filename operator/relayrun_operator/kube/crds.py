"""The two CustomResourceDefinitions, made from the models in `relayrun_core.kinds`.

`python -m relayrun_operator.kube.crds [FOLDER …]` writes them; `crds/README.md` says what is in them and why.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from relayrun_core.kinds import GROUP, VERSION, Agent, AgentRun
from relayrun_core.kinds.agentrun import MUTABLE, AgentRunSpec
from relayrun_operator.kube.schemas import structural_schema

FOLDERS = ("crds", "charts/relayrun/files/crds")

_NAME_AFTER = "([-a-z0-9]*[a-z0-9])?"

Schema = dict[str, Any]


def main() -> None:
    """Write both CRDs into the folders of the command line; by default into all that exist of `FOLDERS`."""
    for folder in map(Path, sys.argv[1:] or FOLDERS):
        if folder.is_dir():
            for name, text in crd_files().items():
                (folder / name).write_text(text)


def crd_files() -> dict[str, str]:
    """The content of each file, by its name."""
    return {f"{GROUP}_{crd['spec']['names']['plural']}.yaml": _as_yaml(crd) for crd in (agent_crd(), agentrun_crd())}


def agent_crd() -> Schema:
    """The kind Agent."""
    schema = _root(Agent)
    spec = schema["properties"]["spec"]
    schema["x-kubernetes-validations"] = [
        _rule(
            f"self.metadata.name.size() <= 45 && self.metadata.name.matches('^[a-z]{_NAME_AFTER}$')",
            "an Agent's name is part of its pods' and its Service's names: at most 45 lower-case letters, digits and "
            "dashes, with a letter first",
        )
    ]
    spec["x-kubernetes-validations"] = [
        _rule(
            "self.isolation == 'Shared' || !has(self.runsPerRunner)",
            "runsPerRunner needs isolation Shared: a runner of isolation Pod executes one run",
            field=".runsPerRunner",
        )
    ]
    spec["properties"]["runners"]["x-kubernetes-validations"] = [
        _rule("self.min <= self.max", "min must not be greater than max: raise max, or scale to less", field=".min")
    ]
    spec["properties"]["updateStrategy"]["x-kubernetes-validations"] = [
        _rule(
            "self.maxUnavailable > 0 || self.maxSurge > 0",
            "maxUnavailable and maxSurge must not both be 0: no runner could ever be replaced",
        )
    ]
    spec["properties"]["traffic"]["properties"]["group"]["x-kubernetes-validations"] = [
        _rule(
            f"self.matches('^[a-z0-9]{_NAME_AFTER}$')",
            "a traffic group is called by lower-case letters, digits and dashes, as support or support-eu",
        )
    ]
    columns = [
        _column("Ready", ".status.conditions[?(@.type=='Ready')].status"),
        _column("Runners", ".status.readyReplicas", kind="integer"),
        _column("Active", ".status.activeThreads", kind="integer"),
        _column("Queued", ".status.queuedRuns", kind="integer"),
        _column("Weight", ".spec.traffic.weight", kind="integer"),
        _column("Age", ".metadata.creationTimestamp", kind="date"),
        _column("Image", ".spec.image", wide=True),
        _column("Graphs", ".status.graphs", wide=True),
        _column("Reason", ".status.conditions[?(@.type=='Ready')].reason", wide=True),
    ]
    scale = {
        "specReplicasPath": ".spec.runners.min",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    return _crd("Agent", "agents", "ag", schema, columns, [], scale=scale)


def agentrun_crd() -> Schema:
    """The kind AgentRun."""
    schema = _root(AgentRun)
    spec = schema["properties"]["spec"]
    schema["x-kubernetes-validations"] = [
        _rule("self.metadata.name.size() <= 63", "an AgentRun's name is at most 63 characters")
    ]
    spec["x-kubernetes-validations"] = [
        _rule(
            "[has(self.input), has(self.command), has(self.runId)].filter(given, given).size() <= 1",
            "give at most one of input, command and runId",
        ),
        _rule("!has(self.command) || has(self.thread)", "command needs a thread: name the one to continue"),
        _rule(
            "!has(oldSelf.cancel) || (has(self.cancel) && self.cancel == oldSelf.cancel)",
            "a cancel cannot be taken back: create another AgentRun",
            field=".cancel",
            reason="FieldValueForbidden",
        ),
        *map(_immutable, _immutable_fields()),
    ]
    columns = [
        _column("Agent", ".spec.agentRef.name"),
        _column("Phase", ".status.phase"),
        _column("Reason", ".status.reason"),
        _column("Attempts", ".status.attempts", kind="integer"),
        _column("Age", ".metadata.creationTimestamp", kind="date"),
        _column("Graph", ".spec.graph", wide=True),
        _column("Thread", ".status.threadId", wide=True),
        _column("Runner", ".status.runnerName", wide=True),
        _column("Finished", ".status.completionTime", kind="date", wide=True),
        _column("Message", ".status.message", wide=True),
    ]
    fields = [".spec.agentRef.name", ".spec.runId", ".status.phase", ".status.threadId"]
    return _crd("AgentRun", "agentruns", "ar", schema, columns, fields)


def _root(model: type[BaseModel]) -> Schema:
    parts = {name: model.model_fields[name].annotation for name in ("spec", "status")}
    described = {}
    for name, part in parts.items():
        assert isinstance(part, type)
        assert issubclass(part, BaseModel)
        described[name] = structural_schema(part)
    # What is new is in progress for kstatus, which takes an object without any status for done.
    described["status"] = {**described["status"], "default": {"observedGeneration": -1}}
    return {
        "description": model.__doc__,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": "The version of the API, relayrun.dev/v1alpha1.", "type": "string"},
            "kind": {"description": "The kind of the object.", "type": "string"},
            "metadata": {"type": "object"},  # the API server describes it, and allows nothing else here
            **described,
        },
    }


def _crd(
    kind: str,
    plural: str,
    short: str,
    schema: Schema,
    columns: list[Schema],
    fields: list[str],
    scale: Schema | None = None,
) -> Schema:
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}, **({"scale": scale} if scale else {})},
        "additionalPrinterColumns": columns,
        **({"selectableFields": [{"jsonPath": path} for path in fields]} if fields else {}),
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["relayrun"],
            },
            "versions": [version],
        },
    }


def _immutable_fields() -> list[str]:
    names = [field.alias or name for name, field in AgentRunSpec.model_fields.items()]
    return [name for name in names if name not in MUTABLE]


def _immutable(name: str) -> Schema:
    """A rule on a field is skipped when the field comes or goes, so this one is on the spec."""
    same = f"(!has(self.{name}) || self.{name} == oldSelf.{name})"
    return _rule(
        f"has(self.{name}) == has(oldSelf.{name}) && {same}",
        f"{name} is immutable: create another AgentRun",
        field=f".{name}",
        reason="FieldValueForbidden",
    )


def _rule(rule: str, message: str, *, field: str | None = None, reason: str | None = None) -> Schema:
    parts = {"rule": rule, "message": message, "fieldPath": field, "reason": reason}
    return {key: value for key, value in parts.items() if value is not None}


def _column(name: str, path: str, *, kind: str = "string", wide: bool = False) -> Schema:
    return {"name": name, "type": kind, "jsonPath": path, **({"priority": 1} if wide else {})}


def _as_yaml(crd: Schema) -> str:
    head = "# Generated by `make crds` from relayrun_core.kinds. Do not edit.\n"
    plain = json.loads(json.dumps(crd))  # without shared parts, which YAML would write as anchors
    return head + str(yaml.safe_dump(plain, sort_keys=False, width=120, allow_unicode=True))


if __name__ == "__main__":
    main()
