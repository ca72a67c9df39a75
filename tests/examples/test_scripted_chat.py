"""The chat example as it comes: without a model, a key, LangChain or its OpenAI client."""

from __future__ import annotations

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from examples.chat.agent.scripted import HELP, ScriptedModel, next_message
from tests.examples.chatting import CONFIG, kinds, text_of, told_of
from tests.support.dev import relayrun_dev
from tests.support.reading import client_of

ASKED = [HumanMessage("Please refund order 4711", id="1")]


async def test_relayrun_dev_runs_the_example_out_of_the_box(tmp_path):
    for missing in ("langchain", "langchain_openai", "openai"):
        (tmp_path / f"{missing}.py").write_text("raise ImportError('not installed')")
    async with relayrun_dev(config=CONFIG, runners=1, environment={"PYTHONPATH": str(tmp_path)}) as dev:
        await dev.answers()
        async with client_of(dev.url) as client:
            told = await told_of(client, message="Please refund order 4711")
            asked = ["start", "token", "message", "tool_call"]
            found = ["tool_result", "token", "message", "tool_call"]
            assert kinds(told) == [*asked, *found, "interrupt", "end"]
            assert sum(event["type"] == "token" for event in told) > 10
            told = await told_of(client, resume={"approved": True})
            assert kinds(told) == ["start", "tool_result", "token", "message", "end"]
            assert text_of(told).startswith("Refunded 42.00 EUR for order 4711.")


def test_what_is_no_order_gets_help():
    assert next_message([HumanMessage("Hello there")]).text == HELP


def test_the_script_says_the_same_to_the_same_conversation():
    assert next_message(ASKED) == next_message(ASKED)
    assert next_message(ASKED).tool_calls != next_message([HumanMessage(ASKED[0].text, id="2")]).tool_calls


def test_what_a_tool_cannot_do_is_said_and_no_refund_tried():
    said = next_message(ASKED)
    sorry = ToolMessage("There is no order.", name="find_order", tool_call_id=said.tool_calls[0]["id"], status="error")
    answer = next_message([*ASKED, said, sorry])
    assert (answer.text, answer.tool_calls) == ("There is no order. Is there anything else?", [])


async def test_what_is_streamed_adds_up_to_what_is_said():
    said = next_message(ASKED)
    chunks = [chunk async for chunk in ScriptedModel().astream(ASKED)]
    assert len(chunks) > 5
    whole = sum(chunks[1:], start=chunks[0])
    assert isinstance(said, AIMessage)
    assert (whole.text, whole.tool_calls) == (said.text, said.tool_calls)
