"""How a runner's process ended that nobody had told to: reasons that parents count and the operator tells."""

from enum import StrEnum
from pathlib import Path

from relayrun_core.restarts import killed_from_outside

_CGROUP = Path("/sys/fs/cgroup")


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
    DeathReason.OOM_KILLED: "was killed because its container's memory ran out: see resources.limits.memory",
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
    """How often the kernel has killed for memory in this container; 0 where it does not say (cgroup v1)."""
    try:
        lines = (_CGROUP / "memory.events").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
