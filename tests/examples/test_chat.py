"""The chat example over HTTP: `relayrun dev`, the real OpenAI client, and an endpoint that the tests script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from tests.examples.chatting import CONFIG, chat, kinds, text_of, told_of
from tests.examples.openai_server import Break, Call, OpenAIServer, Refusal, Reply, openai_server
from tests.support.dev import Dev, relayrun_dev
from tests.support.reading import client_of, events

FIND = Call("find_order", {"order_id": "4711"}, "call_find")
REFUND = Call("refund", {"order_id": "4711"}, "call_refund")


@pytest.fixture(scope="module")
async def llm() -> AsyncIterator[OpenAIServer]:
    async with openai_server() as server:
        yield server


@pytest.fixture(scope="module")
async def dev(llm: OpenAIServer) -> AsyncIterator[Dev]:
    environment = {"CHAT_MODEL": "test", "OPENAI_BASE_URL": llm.url, "OPENAI_API_KEY": "for-tests"}
    async with relayrun_dev(config=CONFIG, environment=environment) as dev:
        await dev.answers()
        yield dev


@pytest.fixture
async def client(dev: Dev) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(dev.url) as client:
        yield client


@pytest.fixture
def thread() -> str:
    return f"test {uuid4()}"


async def test_every_token_arrives_before_the_model_says_the_next(client, llm, thread):
    words = ["Good", " morning", " to", " you", "."]
    gates = [asyncio.Event() for _ in words]
    llm.will(Reply(*[step for pair in zip(words, gates, strict=True) for step in pair]))
    heard = []
    async with chat(client, message="Hello", thread_id=thread) as stream:
        async for told in stream:
            if told.event == "token":
                heard.append(told.data["text"])
                gates[len(heard) - 1].set()  # no earlier: a token that waits for the next would never come
    assert heard == words


async def test_tool_calls_are_told_whole_and_their_results_go_to_the_model(client, llm, thread):
    llm.will(Reply("Let me", " see.", FIND), Reply("A lamp", "."))
    told = await told_of(client, message="Where is my order 4711?", thread_id=thread)
    assert kinds(told) == ["start", "token", "message", "tool_call", "tool_result", "token", "message", "end"]
    call = next(event for event in told if event["type"] == "tool_call")
    assert (call["id"], call["name"], call["args"]) == ("call_find", "find_order", {"order_id": "4711"})
    result = next(event for event in told if event["type"] == "tool_result")
    assert result["id"] == "call_find"
    assert result["content"].startswith("Order 4711: a reading lamp")
    assert llm.asked[1]["messages"][-1]["role"] == "tool"
    assert llm.asked[1]["messages"][-1]["content"] == result["content"]
    assert {tool["function"]["name"] for tool in llm.asked[0]["tools"]} == {"find_order", "refund"}


@pytest.mark.parametrize(("approved", "result"), [(True, "Refunded 42.00 EUR"), (False, "Not refunded")])
async def test_a_refund_waits_for_a_person(client, llm, thread, approved, result):
    llm.will(Reply(REFUND), Reply("Done."))
    told = await told_of(client, message="Refund order 4711", thread_id=thread)
    assert kinds(told) == ["start", "message", "tool_call", "interrupt", "end"]
    assert told[-1]["status"] == "interrupted"
    [asked] = told[-2]["interrupts"]
    assert asked["value"]["question"] == "Refund 42.00 EUR for order 4711?"
    refused = await client.post("/chat", json={"message": "Well?", "thread_id": thread})
    assert refused.status_code == 409
    assert refused.json()["interrupts"] == [asked]
    told = await told_of(client, resume={asked["id"]: {"approved": approved}}, thread_id=thread)
    assert kinds(told) == ["start", "tool_result", "token", "message", "end"]
    assert told[1]["content"].startswith(result)
    assert told[-1]["status"] == "success"


async def test_of_two_calls_the_finished_one_is_not_repeated_when_the_other_was_approved(client, llm, thread):
    find = Call("find_order", {"order_id": "4712"}, "call_other")
    refund = Call("refund", {"order_id": "4711"}, "call_refund", index=1)
    llm.will(Reply(find, refund), Reply("Done."))
    async with chat(client, message="Where is 4712? And refund 4711.", thread_id=thread) as stream:
        updates = [told.data async for told in stream if told.event == "update"]
    found = updates[-1]["values"]["messages"][0]["id"]  # a call that is repeated makes another message
    told = await told_of(client, resume={"approved": True}, thread_id=thread)
    assert told[-1]["status"] == "success"
    history = (await client.get(f"/history/{thread}")).json()["messages"]
    assert [message["tool_call_id"] for message in history[2:4]] == ["call_other", "call_refund"]
    assert history[2]["id"] == found


async def test_what_a_tool_cannot_do_is_told_as_an_error_and_goes_to_the_model(client, llm, thread):
    llm.will(Reply(Call("refund", {"order_id": "9999"})), Reply("Which one?"))
    told = await told_of(client, message="Refund 9999", thread_id=thread)
    [result] = [event for event in told if event["type"] == "tool_result"]
    assert result["status"] == "error"
    assert result["content"] == "There is no order 9999: ask for its number, which has four digits."
    assert text_of(told) == "Which one?"
    assert told[-1]["status"] == "success"


@pytest.mark.parametrize(
    ("replies", "says"),
    [
        # The client tries twice more by itself.
        ([Refusal(429, "the quota is used up")] * 3, "429 - the quota is used up"),
        ([Refusal(500, "the model is ill")] * 3, "500 - the model is ill"),
        ([Refusal(401, "a wrong key")], "401 - a wrong key"),
        ([Reply("Half", " a sen", Break)], "Connection error"),
    ],
    ids=["429", "500", "401", "a broken stream"],
)
async def test_an_error_of_the_model_is_told_and_the_thread_can_go_on(client, llm, thread, replies, says):
    llm.will(*replies)
    told = await told_of(client, message="Hello", thread_id=thread)
    assert [event["type"] for event in told[-2:]] == ["error", "end"]
    error, end = told[-2:]
    assert error["code"] == "run_failed"
    assert says in error["detail"]
    assert end["status"] == "error"
    assert llm.finished
    llm.will(Reply("Here", " I am."))
    told = await told_of(client, message="Are you there?", thread_id=thread)
    assert text_of(told) == "Here I am."
    assert [message["content"] for message in llm.asked[0]["messages"][1:]] == ["Hello", "Are you there?"]


async def test_a_client_that_was_cut_off_reads_on_where_it_was(client, llm, thread):
    gate = asyncio.Event()
    llm.will(Reply("One", " two", gate, " three", " four"))
    heard, last = [], None
    async with client.stream("POST", "/chat", json={"message": "Count", "thread_id": thread}) as response:
        location = response.headers["location"]
        async for told in events(response):
            last = told.id
            if told.event == "token":
                heard.append(told.data["text"])
            if heard == ["One", " two"]:
                break
    gate.set()
    async with client.stream("GET", location, headers={"Last-Event-ID": last}) as response:
        heard += [told.data["text"] async for told in events(response) if told.event == "token"]
    assert heard == ["One", " two", " three", " four"]
    assert (await client.get(location, headers={"Last-Event-ID": "1-9223372036854775807"})).status_code == 204


async def test_the_history_has_the_conversation(client, llm, thread):
    llm.will(Reply(FIND), Reply("A lamp."))
    await told_of(client, message="Where is my order 4711?", thread_id=thread)
    history = (await client.get(f"/history/{thread}")).json()["messages"]
    assert [(message["role"], message["content"]) for message in history] == [
        ("user", "Where is my order 4711?"),
        ("assistant", ""),
        ("tool", "Order 4711: a reading lamp, 42.00 EUR, returned on Monday."),
        ("assistant", "A lamp."),
    ]
