"""What LangGraph and its SDK do not promise to keep, and Relayrun uses all the same: each name with its reason.

No other module of the runner names anything private of theirs, but for methods that a subclass overrides: those are in
`OVERRIDDEN`. The packages have upper bounds in pyproject.toml, and tests/runner/test_langgraph_internals.py fails when
a version changes one of these.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from types import FunctionType
from typing import Any, cast

import ormsgpack
import psycopg
from langgraph.checkpoint.base import id as _ids
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.postgres.base import BasePostgresSaver
from langgraph.checkpoint.serde import jsonplus
from langgraph.checkpoint.serde._msgpack import STRICT_MSGPACK_ENABLED
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.pregel._runner import FuturesDict
from langgraph.store.base import Result, SearchOp
from langgraph.store.postgres.aio import AsyncPostgresStore
from langgraph.types import PregelExecutableTask
from langgraph_sdk import Auth

__all__ = ["STRICT_MSGPACK_ENABLED"]

#: Methods that our subclasses replace, because LangGraph calls them for all that it sends to the database.
OVERRIDDEN = (
    (AsyncPostgresSaver, "_cursor"),
    (AsyncPostgresStore, "_cursor"),
    (AsyncPostgresStore, "_execute_batch"),
)

# --- Checkpoint ids: docs/decisions/0006-clocks.md.

#: LangGraph makes no id that is not later than the one under LAST_ID, its last: the module's variables.
ID_STATE: MutableMapping[str, Any] = vars(_ids)
LAST_ID = "_last_v6_timestamp"

# --- The saver: what it sends is written together with a run's events, as `relayrun_write`, which knows these texts.

BLOBS = BasePostgresSaver.UPSERT_CHECKPOINT_BLOBS_SQL
CHECKPOINT = BasePostgresSaver.UPSERT_CHECKPOINTS_SQL
WRITES = BasePostgresSaver.INSERT_CHECKPOINT_WRITES_SQL
WRITES_AGAIN = BasePostgresSaver.UPSERT_CHECKPOINT_WRITES_SQL

# LangGraph keeps a task's answers in one pending write, and writes all of them again with each.
_RECORDED = """
SELECT type, blob FROM checkpoint_writes
WHERE thread_id = %s AND task_id = %s AND channel = '__resume__' ORDER BY checkpoint_id DESC LIMIT 1"""


async def recorded_answers(saver: AsyncPostgresSaver, thread_id: str, task_id: str) -> int:
    """Return how many answers to its questions the task has recorded: this decides whether one may be sent again."""
    async with saver._cursor() as cursor:  # the saver's only way to its connection
        await cursor.execute(_RECORDED, (thread_id, task_id))
        row = await cursor.fetchone()
    if row is None:
        return 0
    value = saver.serde.loads_typed((row["type"], row["blob"]))
    return len(value) if isinstance(value, list) else 1


# --- The serializer: values that it would change, refuse or hand to pickle have a form of ours.

# LangGraph writes `?` for a lone surrogate, and refuses one in a key. Refused in any place, it comes to us.
MSGPACK_OPTIONS = jsonplus._option & ~ormsgpack.OPT_REPLACE_SURROGATES


def default_encoder(encode: Callable[[Any], bytes]) -> Callable[[Any], Any]:
    """Return LangGraph's form of what msgpack has none for; `encode` encodes what is inside of a model or dataclass."""
    return FunctionType(jsonplus._msgpack_default.__code__, {**vars(jsonplus), "_msgpack_enc": encode})


def do_not_warn_of(types: Iterable[tuple[str, str]]) -> None:
    """Do not tell authors to list these (module, name) in `checkpointer.serde`: they are our own form's."""
    jsonplus._warned_unregistered_types.update(types)


def decoder_of(serializer: JsonPlusSerializer) -> tuple[Any, Callable[[int, bytes], Any]]:
    """Return which types a serializer may call (hashable), and how it decodes an extension of msgpack."""
    allowed = serializer._allowed_msgpack_modules
    return frozenset(allowed) if isinstance(allowed, set) else allowed, serializer._unpack_ext_hook


# --- The executor of nodes.


def _name(held: Any) -> str:
    return f"<{type(held).__name__} {getattr(held, 'name', '')}>"


def keep_values_out_of_reprs() -> None:
    """Have tasks and their callbacks named, and not written out.

    When a callback raises, uvloop writes it down with all that it holds, an author's values among them; and when that
    raises too, of a value that is nested too deep or cannot say what it is, the loop itself ends, and every run in it.
    """
    FuturesDict.__repr__ = PregelExecutableTask.__repr__ = _name  # type: ignore[method-assign]


# --- The store.


async def search_with(
    store: AsyncPostgresStore, searches: Sequence[tuple[int, SearchOp]], results: list[Result], cursor: Any
) -> None:
    """Run the store's searches on a cursor of ours, which bounds what comes back."""
    await store._batch_search_ops(searches, results, cast("psycopg.AsyncCursor[Any]", cursor))


# --- The SDK's `Auth`: it keeps handlers and has no question that it answers.

Handler = Callable[..., Any]


def authenticate_handler(auth: Auth) -> Handler | None:
    """Return what the author decorated with `@auth.authenticate`."""
    return auth._authenticate_handler


def handlers_of(auth: Auth) -> Mapping[tuple[str, str], Sequence[Handler]]:
    """Return what the author decorated with `@auth.on…`, by resource and action; ("*", "*") has those of `@auth.on`."""
    found: dict[tuple[str, str], Sequence[Handler]] = dict(auth._handlers)
    if auth._global_handlers and not found.get(("*", "*")):
        found["*", "*"] = auth._global_handlers
    return found


# --- What factories get as the SDK's `ServerRuntime`, a beta interface: a union of two classes without public names,
# which servers are meant to make. Imported late: older versions of the SDK have none of it.


def execution_runtime(**members: Any) -> Any:
    """Return the runtime of a factory that makes a graph for a run."""
    from langgraph_sdk.runtime import _ExecutionRuntime

    return _ExecutionRuntime(**members)


def read_runtime(**members: Any) -> Any:
    """Return the runtime of a factory that makes a graph for a question: about a state, a schema, a drawing."""
    from langgraph_sdk.runtime import _ReadRuntime

    return _ReadRuntime(**members)
