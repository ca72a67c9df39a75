"""Secrets that are replaced while processes run: from a mounted file at each use, two of them while one is rotated.

```
  /run/relayrun/runner-token/token             the one in force, which is used
  /run/relayrun/runner-token/previous-token    the one before it, which is accepted too, while the file is there
```
The kubelet writes both anew when the Secret changes, in different pods at different times.
"""

import hmac
import logging
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger("relayrun.secrets")

#: Of the file beside a secret's own that has the one before it.
PREVIOUS = "previous-"

_Stamp = tuple[int, int, int] | None


class RotatingSecret:
    """A secret. `value` counts where there is no file. `check` raises ValueError for what cannot be used."""

    def __init__(self, value: str = "", file: Path | None = None, check: Callable[[str], object] = len) -> None:
        self._value = value
        self._file = file
        self._check = check
        self._stamps: tuple[_Stamp, ...] = ()
        self._known: tuple[str, ...] = (value,) if value else ()
        #: Another number: other secrets.
        self.generation = 0

    def all(self) -> tuple[str, ...]:
        """Those to accept, the one to use first; empty where there is none.

        While the file cannot be read, or says what cannot be used, the last that could be counts.
        """
        if self._file is not None:
            self._look(self._file, self._file.with_name(PREVIOUS + self._file.name))
        return self._known

    def _look(self, file: Path, file_before: Path) -> None:
        stamps = _stamp(file), _stamp(file_before)
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            current = self._read(file) or (self._value if stamps[0] is None else "")
            previous = self._read(file_before)
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be used, what was there before counts: %s", file, error)
            return
        found = tuple(dict.fromkeys(filter(None, (current, previous))))
        if not current:
            logger.warning("%s has no secret, what was there before counts", file)
        elif found != self._known:
            self._known = found
            self.generation += 1

    def _read(self, file: Path) -> str:
        try:
            text = file.read_text().strip()
        except FileNotFoundError:
            return ""
        if text:
            self._check(text)
        return text


def _stamp(file: Path) -> _Stamp:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def bearer(secrets: tuple[str, ...]) -> str:
    """The header `Authorization` of a caller of runners, with the one or two that it knows: a runner has either."""
    return f"Bearer {','.join(secrets)}"


def shows(header: bytes, secret: str) -> bool:
    """Whether a caller's `Authorization` has the secret: alone, or as one of two, as `bearer` writes them."""
    scheme, _, shown = header.partition(b" ")
    ours = secret.encode()
    ways = ((shown, ours), (shown[: len(ours) + 1], ours + b","), (shown[-len(ours) - 1 :], b"," + ours))
    return scheme == b"Bearer" and any(hmac.compare_digest(theirs, expected) for theirs, expected in ways)
