"""What every world raises."""

from relayrun_core.errors import RelayrunError


class RunnerUnreachable(RelayrunError):
    """A call to a runner had no clear answer: it may or may not have been carried out."""


class NotSent(RunnerUnreachable):
    """A call that was not made at all."""
