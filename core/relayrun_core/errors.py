"""What core's functions raise. Every message says what happened, to what, and what to do."""


class RelayrunError(Exception):
    """The root of what Relayrun raises itself."""


class ThreadNotFound(RelayrunError):
    """The thread does not exist, or belongs to another owner."""


class ThreadExists(RelayrunError):
    """A thread with this id exists already and the caller asked to be told."""


class ThreadBusyError(RelayrunError):
    """The thread has a pending or running run, and the request needs it idle."""


class ThreadInterrupted(RelayrunError):
    """The thread waits for an answer; new input would abandon the question."""


class ResumeConflict(RelayrunError):
    """A resume that no pending interrupt of the thread can be bound to."""


class MetadataTooLarge(RelayrunError):
    """What the thread or assistant has would, with what was to be merged into it, be larger than it may."""


class RunNotFound(RelayrunError):
    """The run does not exist, or belongs to another owner."""


class CheckpointNotFound(RelayrunError):
    """The thread has no such checkpoint."""


class RunFinished(RelayrunError):
    """The run has ended; a finished run never changes."""


class StaleAttempt(RelayrunError):
    """This attempt does not hold its run any more: it must stop and write nothing."""


class NotStorable(RelayrunError):
    """A value that no checkpoint or JSON can hold: the run that made it fails, and nothing else."""


class SchemaUnknown(RelayrunError):
    """The database has migrations that this version does not know."""


class NeedsDirectConnection(RelayrunError):
    """What was asked cannot go through a pooler of connections."""


class SchemaTooOld(RelayrunError):
    """The database lacks a migration that this version needs."""
