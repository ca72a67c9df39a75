"""Those who do no harm, and what they come to whatever happens beside them."""

from __future__ import annotations

from tests.guests.guests import SUCCESS, Guest

INNOCENTS, ROUNDS, PAUSE_SECONDS = 20, 6, 0.2
_DONE = ["first 0", *(f"{side} {number}" for number in range(ROUNDS) for side in ("left", "right"))]
#: Each step done once, and no step's effect lost.
INNOCENT_VALUES = {
    "count": ROUNDS, "pause": PAUSE_SECONDS, "round": ROUNDS, "total": len(_DONE), "done": _DONE,
    "effects": sorted(_DONE),
}  # fmt: skip


def innocent() -> Guest:
    return Guest("innocent", {"count": ROUNDS, "pause": PAUSE_SECONDS}, SUCCESS, backoff_limit=2)
