"""What checkpoints' metadata say of a run's configuration, and what they never say."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableConfig

from relayrun_runner.attempt.config import described


def metadata_of(configurable: dict[str, Any], metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    config: RunnableConfig = {"configurable": {"thread_id": "t", **configurable}, "metadata": metadata or {}}
    return dict(described(config, {"source": "loop", "step": 1, "parents": {}}))


OWN = {"source": "loop", "step": 1, "parents": {}, "thread_id": "t"}


def test_all_that_a_caller_configured_is_said() -> None:
    said = {"author": "me", "number": 3, "flag": True, "object": {"a": [1, None, {"b": 2.5}]}, "nothing": None}
    assert metadata_of(said, {"m": "1"}) == {**OWN, **said, "m": "1"}


def test_a_subgraph_says_its_place_and_its_task() -> None:
    place = {"checkpoint_ns": "inner:1", "checkpoint_map": {"": "c0"}}
    task = {"langgraph_node": "inner", "langgraph_step": 2, "langgraph_path": ["__pregel_pull", "inner"]}
    assert metadata_of({**place, "checkpoint_id": "the parent"}, task) == {**OWN, **place, **task}
    assert metadata_of({"checkpoint_ns": "", "checkpoint_map": {}}) == OWN


def test_where_a_run_began_is_said_and_not_each_checkpoints_parent() -> None:
    assert metadata_of({"checkpoint_id": "the parent"}, {"checkpoint_id": "c1"}) == {**OWN, "checkpoint_id": "c1"}


def test_nobody_is_told_whom_the_run_is_for() -> None:
    user = {"langgraph_auth_user": {"token": "secret"}, "langgraph_auth_user_id": "alice", "langgraph_auth_x": ["s"]}
    assert metadata_of(user, user) == OWN
    assert metadata_of({"__pregel_x": 1, "__own": {"a": 1}}, {"__more": 1}) == OWN


def test_what_a_checkpoints_own_metadata_says_stays() -> None:
    assert metadata_of({"source": "mine", "step": 7}, {"parents": "mine"}) == OWN


def test_what_is_no_json_or_too_much_is_left_out() -> None:
    assert metadata_of({"a": object(), "b": {1: 2}, "c": {"d": {1, 2}}, "e": "text"}) == {**OWN, "e": "text"}
    assert metadata_of({"large": ["x" * 1000] * 20, "small": 1}) == {**OWN, "small": 1}


def test_text_that_postgres_cannot_store_is_replaced_inside_as_well() -> None:
    found = metadata_of({"object": {"a": "x\0y"}})
    assert "\0" not in found["object"]["a"]
