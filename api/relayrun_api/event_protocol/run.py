"""What the event protocol knows of a run besides its journal."""

from collections.abc import Sequence
from dataclasses import dataclass

from relayrun_core.runs import Run

#: The stream modes of a run that is started by the protocol; `lifecycle` has its runner say what the protocol needs
#: beyond them.
PROTOCOL_MODES = ("values", "updates", "messages-tuple", "custom", "tasks", "checkpoints", "tools", "lifecycle")


@dataclass(frozen=True)
class ProtocolRun:
    """What is known of a run besides its journal. `answered`: the interrupts that it answers."""

    run_id: str
    number: int
    graph: str
    modes: Sequence[str] = PROTOCOL_MODES
    answered: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: Run) -> "ProtocolRun":
        """That of a run's row."""
        answered = tuple(answer.interrupt_id for answer in run.spec.answers)
        return cls(str(run.run_id), run.number, run.graph, run.spec.stream_modes, answered)
