"""Vectors of texts without a model: how often each of a few words is there."""

from __future__ import annotations

WORDS = ("tea", "coffee", "green", "lamp", "house", "garden", "rome", "train")


async def embed(texts: list[str]) -> list[list[float]]:
    return [[0.01 + text.lower().count(word) for word in WORDS] for text in texts]
