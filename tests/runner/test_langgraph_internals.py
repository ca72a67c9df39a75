"""What LangGraph does not promise to keep: a version that changes it is noticed here, and not by runs."""

import inspect
from collections.abc import Sequence
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde import jsonplus
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.pregel import _runner
from langgraph.store.postgres.aio import AsyncPostgresStore
from langgraph_sdk import Auth

from relayrun_runner import langgraph_internals as internals

# The texts that `relayrun_write` does in one statement: columns, and what is done about a row that is there.
SENT = {
    internals.BLOBS: """
        INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
        VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (thread_id, checkpoint_ns, channel, version) DO NOTHING""",
    internals.CHECKPOINT: """
        INSERT INTO checkpoints
            (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
        VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id)
        DO UPDATE SET checkpoint = EXCLUDED.checkpoint, metadata = EXCLUDED.metadata;""",
    internals.WRITES: """
        INSERT INTO checkpoint_writes
            (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO NOTHING""",
    internals.WRITES_AGAIN: """
        INSERT INTO checkpoint_writes
            (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
        DO UPDATE SET channel = EXCLUDED.channel, type = EXCLUDED.type, blob = EXCLUDED.blob;""",
}


def words(sql: str) -> str:
    return "".join(sql.split()).rstrip(";").lower()


@pytest.mark.parametrize("text", SENT, ids=["blobs", "checkpoint", "writes", "writes again"])
def test_the_saver_sends_what_relayrun_write_does(text: str) -> None:
    assert words(text) == words(SENT[text])


def test_an_id_sorts_after_the_last_one_that_langgraph_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert internals.LAST_ID in internals.ID_STATE
    before = empty_checkpoint()["id"]
    last = internals.ID_STATE[internals.LAST_ID]
    monkeypatch.setitem(internals.ID_STATE, internals.LAST_ID, last + 10_000_000_000)
    assert empty_checkpoint()["id"] > before
    assert internals.ID_STATE[internals.LAST_ID] > last + 10_000_000_000


@pytest.mark.parametrize(("owner", "name"), internals.OVERRIDDEN, ids=[name for _, name in internals.OVERRIDDEN])
def test_what_our_subclasses_replace_is_there_and_called(owner: type, name: str) -> None:
    assert callable(getattr(owner, name))
    sources = "".join(inspect.getsource(module) for module in map(inspect.getmodule, owner.__mro__[:-1]) if module)
    assert f"self.{name}(" in sources


def test_what_is_inside_of_a_value_is_encoded_by_our_encoder() -> None:
    encoded: list[Any] = []

    def encode(value: Any) -> bytes:
        encoded.append(value)
        return b"\xc0"

    internals.default_encoder(encode)(frozenset({1}))
    assert len(encoded) == 1


def test_a_serializer_tells_what_it_may_call_and_how_it_decodes() -> None:
    serializer = JsonPlusSerializer(allowed_msgpack_modules=[("builtins", "range")])
    rules, unpack = internals.decoder_of(serializer)
    assert hash(rules) is not None
    assert ("builtins", "range") in rules
    assert callable(unpack)


def test_nobody_is_warned_of_types_that_are_ours() -> None:
    internals.do_not_warn_of([("ours", "Own")])
    assert ("ours", "Own") in jsonplus._warned_unregistered_types


def test_reprs_of_callbacks_hold_no_values() -> None:
    internals.keep_values_out_of_reprs()
    assert repr(_runner.FuturesDict.__new__(_runner.FuturesDict)) == "<FuturesDict >"


def test_a_search_can_run_on_a_cursor_of_ours() -> None:
    parameters = list(inspect.signature(AsyncPostgresStore._batch_search_ops).parameters)
    assert parameters == ["self", "search_ops", "results", "cur"]


async def test_an_auths_handlers_are_found() -> None:
    auth = Auth()
    assert internals.authenticate_handler(auth) is None
    assert internals.handlers_of(auth) == {}

    @auth.authenticate
    async def authenticate() -> str:
        return "ada"

    @auth.on.threads.create
    async def create(ctx: Any, value: Any) -> None:
        return None

    @auth.on
    async def everything(ctx: Any, value: Any) -> None:
        return None

    assert internals.authenticate_handler(auth) is authenticate
    found: dict[tuple[str, str], Sequence[Any]] = dict(internals.handlers_of(auth))
    assert found == {("threads", "create"): [create], ("*", "*"): [everything]}


def test_both_kinds_of_a_factorys_runtime_can_be_made() -> None:
    asked = {"access_context": "threads.read", "user": None, "store": None}
    assert internals.read_runtime(**asked).access_context == "threads.read"
    made = internals.execution_runtime(**{**asked, "access_context": "threads.create_run", "context": {"a": 1}})
    assert made.context == {"a": 1}
