"""A page for conditions, reasons and Kubernetes Events, of the enumerations that the operator writes them from."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from enum import StrEnum

from relayrun_core.process.restarts import DeathReason
from relayrun_core.states import Reason, RunStatus
from relayrun_operator.engine import reasons as waiting
from relayrun_operator.kube import reasons as kube
from tests.docs.reference.markdown import NOTE, code, table, text

_RUN_CONDITIONS = {
    kube.ASSIGNED: "A runner has the run. False: it waits, and the reason says for what",
    kube.COMPLETE: "The graph reached its end",
    kube.WAITING: f"The run waits for an answer. False with `{kube.CONTINUED}`: a later run of its thread has begun",
    kube.FAILED: "The run failed or was cancelled",
    kube.FINISHED: "The run has ended, in whatever way: for `kubectl wait`",
    kube.READY: "The run has succeeded, or a later run continues its thread. For GitOps tools",
    kube.STALLED: "Beside `Failed`. For GitOps tools",
}
_AGENT_CONDITIONS = {
    kube.READY: "Runners are ready. False: the reason says why not",
    kube.NAME_CONFLICT: f"An older Agent has the name of one of its graphs (`{kube.NAME_TAKEN}`). Else it is not there",
    kube.RECONCILING: "Runners start or are replaced. For GitOps tools",
    kube.STALLED: "No runner can become ready until somebody fixes the cause. For GitOps tools",
}
_AGAIN = (
    f"`{kube.ALREADY_EXECUTED}`: an AgentRun with this name and spec existed before, so this one is not executed again"
    " ([GitOps](../how-to/gitops.md#an-agentrun-is-executed-once))."
)
_RUN_EVENTS = [
    ("`Assigned`", "Normal", "A runner has the run"),
    ("`Resumed`", "Normal", "A later attempt continues on another runner. The message says why"),
    ("A reason of an end", "Normal", "The run has ended: `Succeeded`, `WaitingForInput` or `Cancelled`"),
    ("A reason of an end", "Warning", "The run has ended in any other way"),
    (f"`{kube.ALREADY_EXECUTED}`", "Normal", "The run is not executed again"),
]


def page() -> str:
    """What `kubectl describe` shows, and what it means."""
    ends = [(code(reason.value), code(reason.status.value), meaning) for reason, meaning in _commented(Reason)]
    deaths = [(code(f"Runner{reason.value}"), "Warning", f"A runner {reason.sentence}") for reason in DeathReason]
    parts = [
        f"# Conditions, reasons and Events\n\n{NOTE}`kubectl describe` shows all of these.",
        "## AgentRun\n\n### Conditions",
        table(("Condition", "True means"), _rows(_RUN_CONDITIONS)),
        "### Reasons of Assigned",
        table(
            ("Reason", "Assigned", "Meaning"),
            _documented(waiting.__doc__, *_values(waiting.WaitReason, waiting.AssignReason)),
        ),
        _AGAIN,
        "### Reasons of an end\n\nThe database has the status, and the AgentRun the reason.",
        table(("Reason", "Run's status", "Meaning"), ends),
        "### Events",
        table(("Reason", "Type", "Meaning"), _RUN_EVENTS),
        "A run that was started through the API has Events only for unusual things: another attempt, or a failure.",
        "## Agent\n\n### Conditions",
        table(("Condition", "True means"), _rows(_AGENT_CONDITIONS)),
        "### Reasons of Ready",
        table(("Reason", "Meaning"), _documented(kube.__doc__, *_values(kube.AgentReason))),
        "### Events",
        "An Agent has an Event for each change of the reason of `Ready`, and these for runners that end unexpectedly:",
        table(("Reason", "Type", "Meaning"), deaths),
        "## A run's status",
        f"The statuses of a run are {', '.join(code(status.value) for status in RunStatus)}.",
        "`POST /runs/search` and the console say them; routes of the Agent Server have [its words](runs.md).",
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _rows(told: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, meaning in told.items():
        yield code(name), meaning


def _values(*enums: type[StrEnum]) -> list[str]:
    return [member.value for enum in enums for member in enum]


def _documented(docstring: str | None, *reasons: str) -> Iterable[tuple[str, ...]]:
    """The rows of a module's own table, all of its reasons and no others."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (docstring or "").splitlines()
        if line.startswith("| ")
    ][1:]
    assert {row[0] for row in rows} == set(reasons), (
        f"the table has not the reasons of the code: {set(reasons) ^ {row[0] for row in rows}}"
    )
    return [(code(row[0]), *(text(cell[:1].upper() + cell[1:]) for cell in row[1:])) for row in rows]


def _commented(enum: type[Reason]) -> Iterator[tuple[Reason, str]]:
    """Each member with the `#:` line above it."""
    source = textwrap.dedent(inspect.getsource(enum))
    [body] = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    for member in enum:
        told = re.search(rf"#: (.+)\n\s+{member.name} = ", source)
        assert told, f"{enum.__name__}.{member.name} has no comment"
        yield member, text(told[1])
