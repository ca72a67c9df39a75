"""Which language model speaks: one behind an OpenAI-compatible endpoint, or the scripted one when none is named."""

from __future__ import annotations

import os
from typing import Any

from langchain_core.language_models import BaseChatModel

from .scripted import ScriptedModel


def choose_model() -> BaseChatModel:
    """The model that CHAT_MODEL names at OPENAI_BASE_URL (without it OpenAI's own), with OPENAI_API_KEY."""
    name = os.environ.get("CHAT_MODEL")
    if not name:
        return ScriptedModel()
    try:
        # Late: the scripted model needs none of this.
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise ImportError("CHAT_MODEL is set and langchain is missing: pip install -r requirements.txt") from error
    settings: dict[str, Any] = {"timeout": 60}
    if endpoint := os.environ.get("OPENAI_BASE_URL"):
        # Endpoints of one's own often want no key, and OpenAI's client wants one.
        settings |= {"base_url": endpoint, "api_key": os.environ.get("OPENAI_API_KEY") or "none"}
    # Said, not guessed: most compatible endpoints have chat completions only, and names like `qwen3:4b` have a colon.
    model: BaseChatModel = init_chat_model(
        name.removeprefix("openai:"), model_provider="openai", use_responses_api=False, **settings
    )
    return model
