async def aembed(texts: list[str]) -> list[list[float]]:
    return [[float("tea" in text), float("bread" in text), 0.1] for text in texts]
