"""What was found out a moment ago, so that it need not be found out for each request: bounded in number and time."""

import hashlib
from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """Answers by the hash of a secret text, each until a time of its own; the oldest go first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._answers: OrderedDict[bytes, tuple[T, float]] = OrderedDict()

    def get(self, text: str, now: float) -> T | None:
        """The answer for `text`, if there is one that still holds."""
        answer, until = self._answers.get(_hash(text), (None, 0.0))
        return answer if now < until else None

    def put(self, text: str, answer: T, until: float) -> None:
        """Remember the answer."""
        self._answers[_hash(text)] = (answer, until)
        if len(self._answers) > self._most:
            self._answers.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._answers.clear()


def _hash(text: str) -> bytes:
    # Not the text: a dump of the process should not hold everybody's tokens.
    return hashlib.sha256(text.encode()).digest()
