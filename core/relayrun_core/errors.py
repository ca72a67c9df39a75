"""The exceptions of core. Every message says what happened, to what, and what to do."""


class RelayrunError(Exception):
    """The base class of Relayrun's own exceptions."""


class ThreadNotFound(RelayrunError):
    """The thread does not exist, or belongs to another owner."""


class ThreadExists(RelayrunError):
    """A thread with this id exists already, and the caller wants an error in that case."""


class ThreadBusyError(RelayrunError):
    """The thread has a pending or running run, and the request needs it idle."""


class ThreadInterrupted(RelayrunError):
    """The thread waits for an answer; new input would abandon the question."""


class ResumeConflict(RelayrunError):
    """A resume that no pending interrupt of the thread can be bound to."""


class MetadataTooLarge(RelayrunError):
    """The metadata of the thread or assistant would be larger than allowed after the merge."""


class RunNotFound(RelayrunError):
    """The run does not exist, or belongs to another owner."""


class CheckpointNotFound(RelayrunError):
    """The thread has no such checkpoint."""


class RunFinished(RelayrunError):
    """The run has ended; a finished run never changes."""


class StaleAttempt(RelayrunError):
    """This attempt no longer holds its run: it must stop and write nothing."""


class NotStorable(RelayrunError):
    """A value that neither a checkpoint nor JSON can hold. Only the run that made it fails."""


class SchemaUnknown(RelayrunError):
    """The database has migrations that this version does not know."""


class NeedsDirectConnection(RelayrunError):
    """The operation does not work through a connection pooler."""


class SchemaTooOld(RelayrunError):
    """The database lacks a migration that this version needs."""
