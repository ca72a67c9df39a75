"""How LangGraph's callbacks present themselves to the event loop.

When one raises, uvloop writes down the callback with all that it holds, an author's values among them; and when that
raises too, of a value that is nested too deep or cannot say what it is, the loop itself ends, and every run with it.
"""

from typing import Any

from langgraph.pregel._runner import FuturesDict
from langgraph.types import PregelExecutableTask


def _name(held: Any) -> str:
    return f"<{type(held).__name__} {getattr(held, 'name', '')}>"


def keep_values_out() -> None:
    """Have tasks and their callbacks named, and not written out."""
    FuturesDict.__repr__ = PregelExecutableTask.__repr__ = _name  # type: ignore[method-assign]
