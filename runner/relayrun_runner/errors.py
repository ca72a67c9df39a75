"""The runner's own exceptions. Every message says what happened, to what, and what to do."""

from pathlib import Path

import psycopg

from relayrun_core.errors import NotStorable, RelayrunError
from relayrun_core.storable import storable_text


class RunnerError(RelayrunError):
    """The root of the runner's own errors."""


class ConfigError(RunnerError):
    """A `langgraph.json` that cannot be used: the message names the file, the key and what to do."""

    def __init__(self, file: Path, key: str, message: str) -> None:
        place = f"{file}: {key}" if key else str(file)
        super().__init__(f"{place}: {message}")
        self.file = file
        self.key = key


class GraphLoadError(RunnerError):
    """A graph that could not be loaded; `__cause__` is the author's own exception, where there is one."""

    def __init__(self, graph: str, message: str) -> None:
        super().__init__(f"graph {graph}: {message}")
        self.graph = graph


class CustomAppFailed(RunnerError):
    """The author's own web app did not load or start."""


class NoCustomApp(RunnerError):
    """This agent has no web app of its own."""


class UnknownGraph(RunnerError):
    """This runner has no graph of that name."""


class AuthLoadError(RunnerError):
    """The `auth` of `langgraph.json` did not load; `__cause__` is the author's own exception, where there is one."""


class AuthFailed(RunnerError):
    """An author's handler returned what it must not."""


class NoAuth(RunnerError):
    """This agent's `langgraph.json` has no `auth`."""


class StoreUnavailable(RunnerError):
    """The store that `langgraph.json` asks for cannot be opened."""


class InvalidStoreCall(RunnerError):
    """What a client asks of the store, and the store refuses."""


class StoreCallFailed(RunnerError):
    """A client's store call on which the author's embedding, or the store itself, failed."""


class InvalidState(RunnerError):
    """A state update, or a question about state, that this graph refuses."""


class ForeignThread(RunnerError):
    """A graph reached for the checkpoints of another thread than its run's."""


class CheckpointOrder(RunnerError):
    """A checkpoint would sort before its thread's newest one: nobody would ever go on from it."""


class DatabaseAway(RunnerError):
    """The database stayed away until the run's deadline. Not a failure of the graph: the run is not ended by it."""


class NotReady(RunnerError):
    """This runner can not take runs yet."""


class QuestionFailed(RunnerError):
    """A client's question that ended in an exception of author code, in whose words it is told."""


class LoopBusy(RunnerError):
    """The graphs' event loop did not answer in time."""


class ReadingSlow(RunnerError):
    """A thread's states could not be read in time."""


def refusal(error: Exception, what: str) -> NotStorable:
    """What a run's owner reads of a value that Postgres, or the way to it, refuses: final, trying again is in vain."""
    if isinstance(error, NotStorable):
        return error
    said = (isinstance(error, psycopg.Error) and error.diag.message_primary) or str(error) or type(error).__name__
    found = NotStorable(f"{what} can not be stored: {storable_text(said)}. Make it smaller or plainer")
    found.__cause__ = error
    return found
