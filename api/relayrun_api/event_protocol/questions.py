"""The questions that the graphs of a run ask, and those that it answers. Pure.

They are told in the run's end, when they can be answered: other steps may go on meanwhile, and may fail.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from relayrun_api.event_protocol.events import Namespace, Part, ProtocolEvent, event_of
from relayrun_api.event_protocol.run import ProtocolRun


class Questions:
    """The questions of one run."""

    def __init__(self, run: ProtocolRun) -> None:
        self._run = run
        self._asked: dict[str, ProtocolEvent] = {}

    def answered(self) -> Iterator[ProtocolEvent]:
        """That the run answers some."""
        if self._run.answered:
            yield event_of("input.answered", (), {"interrupt_ids": self._run.answered}, Part.INPUT, channel="input")

    def ask(self, namespace: Namespace, interrupts: Any) -> None:
        """Remember questions: of the innermost graph that asks, which is the first to tell it."""
        for interrupt in interrupts or ():
            identity = interrupt.get("id")
            if not isinstance(identity, str) or identity in self._asked:
                continue
            value, schema = interrupt.get("value"), interrupt.get("response_schema")
            # Python's client reads `value`.
            data = {"interrupt_id": identity, "payload": value, "value": value}
            self._asked[identity] = event_of(
                "input.requested",
                namespace,
                data if schema is None else {**data, "response_schema": schema},
                Part.INPUT,
                len(self._asked),
                channel="input",
                identity=f"synth:{self._run.run_id}:input|{'/'.join(namespace)}|{identity}",
            )

    def all(self) -> Iterable[ProtocolEvent]:
        """What was asked, in order."""
        return self._asked.values()
