"""A runner that is a process of this machine."""

from dataclasses import dataclass

from relayrun_operator.local.processes import SupervisedProcess
from relayrun_operator.loop.runner import Runner


@dataclass(kw_only=True)
class LocalRunner(Runner):
    """A runner that is a process of this machine."""

    process: SupervisedProcess
    #: We told it to drain; it also does so when author code sends a SIGTERM to its own process.
    told_to_drain: bool = False
