"""What a tool's result shows of what an agent says."""

from __future__ import annotations

from typing import Any

import pytest

from relayrun_api.mcp.contents import contents_of
from tests.api.play import ai

PNG, WAV = "iVBORw0KGgo=", "UklGRg=="
TEXT = {"type": "text", "text": "see"}
IMAGE = {"type": "image", "base64": PNG, "mime_type": "image/png"}


def said(content: Any) -> dict[str, Any]:
    return {"messages": [ai("before", "m1"), {**ai("", "m2"), "content": content}]}


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        pytest.param("hi", [("text", "hi")], id="text"),
        pytest.param([TEXT, IMAGE], [("text", "see"), ("image/png", PNG)], id="text and an image"),
        pytest.param([IMAGE], [("image/png", PNG)], id="an image alone"),
        pytest.param(
            [{"type": "image", "source_type": "base64", "data": PNG, "mime_type": "image/png"}],
            [("image/png", PNG)],
            id="an image of LangChain 0.3",
        ),
        pytest.param(
            [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}],
            [("image/png", PNG)],
            id="an image as OpenAI has it",
        ),
        pytest.param(
            [{"type": "audio", "base64": WAV, "mime_type": "audio/wav"}], [("audio/wav", WAV)], id="sound"
        ),
        pytest.param(
            [TEXT, {"type": "image", "url": "https://x/y.png"}, {**IMAGE, "base64": 5}, {**IMAGE, "mime_type": None}],
            [("text", "see")],
            id="what is elsewhere, or nothing",
        ),
    ],
)  # fmt: skip
def test_the_last_message_is_shown(content: Any, shown: list[tuple[str, str]]) -> None:
    told = [one.model_dump() for one in contents_of(said(content))]
    assert [(one.get("mime_type", one["type"]), one.get("data", one.get("text"))) for one in told] == shown


@pytest.mark.parametrize("values", [{"a": 1}, {"messages": []}, {"messages": "x"}, {}, None, [1], {"messages": [{}]}])
def test_the_output_is_shown_of_who_says_nothing(values: Any) -> None:
    [one] = contents_of(values)
    assert one.type == "text"
