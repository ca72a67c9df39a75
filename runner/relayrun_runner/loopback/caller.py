"""Whose call it is when author code calls its own API: said where author code begins, carried by the context."""

from contextvars import ContextVar

from relayrun_core.loopback import Caller

#: None: nobody knows, as in a thread that was started without the context of what started it.
CALLER: ContextVar[Caller | None] = ContextVar("relayrun_caller", default=None)
