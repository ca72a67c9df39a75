"""How a runner's process ended that nobody had told to: reasons that parents count and the operator tells."""

from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from relayrun_core.restarts import killed_from_outside

# Of cgroup v2, and of v1: both have a line `oom_kill` and a number.
_MEMORY_EVENTS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))


class DeathReason(StrEnum):
    """Why. A label of a metric: the set is fixed."""

    #: Somebody sent it a signal.
    KILLED = "Killed"
    #: The container's memory ran out, and the kernel chose it.
    OOM_KILLED = "OOMKilled"
    #: A signal for what it did, as SIGSEGV.
    CRASHED = "Crashed"
    #: It ended itself: a node that would not stop, a part that broke, or author code that exits.
    EXITED = "Exited"

    @property
    def sentence(self) -> str:
        """What happened to the process, as the end of a sentence that begins with it."""
        return _SENTENCES[self]


_SENTENCES = {
    DeathReason.KILLED: "was killed by a signal",
    DeathReason.OOM_KILLED: "was killed because its container's memory ran out",
    DeathReason.CRASHED: "crashed",
    DeathReason.EXITED: "ended itself",
}


def reason_of(code: int, *, out_of_memory: bool = False) -> DeathReason:
    """The reason for an exit code, as `subprocess` tells it. `out_of_memory`: the kernel has killed for memory."""
    if code >= 0:
        return DeathReason.EXITED
    if not killed_from_outside(code):
        return DeathReason.CRASHED
    return DeathReason.OOM_KILLED if out_of_memory else DeathReason.KILLED


def memory_kills() -> int:
    """How often the kernel has killed for memory in this container; 0 where it does not say."""
    for file in _MEMORY_EVENTS:
        with suppress(OSError):
            return sum(int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith("oom_kill "))
    return 0
