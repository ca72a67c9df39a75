"""The ids and values of the examples in the OpenAPI document: one customer, who asks for a refund."""

from typing import Any

from pydantic import ConfigDict

THREAD = "55d34153-bdc8-587a-b018-42a2ebd195e7"
NAME = "refund-4711"
RUN = "01a20607-978c-7eea-9cdb-9b848ad00d7e"
ASSISTANT = "c153bce3-9ce5-4c76-a8f7-1448303bf400"
CHECKPOINT = "1f1e6dd9-c24f-662d-8006-0b211644a54c"
CRON = "01a20607-a04b-7c8a-9d25-1ff8cd053551"
KEY = "1f0a93c2"
QUESTION = "e2c3d445870be377de18479515856430"
TASK = "7e2b5a9e-96a5-c813-8eb7-7b986792ea5a"
BEGAN, ENDED = "2026-11-23T14:30:00.580106+00:00", "2026-11-23T14:30:01.702460+00:00"

ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Where is my order?"}]}
#: What starts a run.
RUN_BODY: dict[str, Any] = {"assistant_id": "agent", "input": ASKED}
TOLD = "It is on its way."
ANSWERED: dict[str, Any] = {
    "messages": [
        {"type": "human", "id": "86ca90c8-11af-4996-a9d0-d1280a622894", "content": "Where is my order?"},
        {"type": "ai", "id": "681f5a66-737e-4e08-9687-ed975c3f5ae8", "content": TOLD, "tool_calls": []},
    ]
}
METADATA: dict[str, Any] = {"customer": "ann"}


def example(**members: Any) -> ConfigDict:
    """A model's example in the document."""
    return ConfigDict(json_schema_extra={"examples": [members]})
