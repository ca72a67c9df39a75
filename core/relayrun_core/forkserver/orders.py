"""What a supervisor and its fork server say to each other, a message at a time over a socket that keeps them apart.

```
 supervisor ── Load ──▶ server                     what each child has; more than once, it has all of it
            ── Split, [socket] ──▶                 another server, of what has been loaded so far
            ◀── Began, [pidfd] ──                  from that other server, over its own socket
            ── Fork, [order, output, lifeline, secrets] ──▶
            ◀── Forked, [pidfd] · Outdated ──      each Fork has one of them for an answer
            ◀── Ended ──                           once for each that was forked
            ── Retire ──▶                          no more forks: it ends with the last of its children
```
"""

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass

_LARGEST_BYTES = 64 * 1024
_MOST_DESCRIPTORS = 8


@dataclass(frozen=True)
class Load:
    """Import these. `modules` are ours, `further` the user's."""

    modules: tuple[str, ...]
    further: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """Fork another server, which serves at the socket that comes with this and shares what has been imported so far."""


@dataclass(frozen=True)
class Began:
    """A server that was split off is there. With it comes its pidfd."""

    pid: int


@dataclass(frozen=True)
class Fork:
    """Fork; `number` names this order. With it come the descriptors of the order itself, which may be large, of the
    child's output, of the pipe that ends with the supervisor, and of the pipe with the secrets.
    """

    number: int


@dataclass(frozen=True)
class Retire:
    """No more forks will be asked for."""


@dataclass(frozen=True)
class Forked:
    """The child is there. With it comes its pidfd."""

    number: int
    pid: int


@dataclass(frozen=True)
class Outdated:
    """Nothing was forked: what was imported has changed, and another server has to import it."""

    number: int


@dataclass(frozen=True)
class Ended:
    """The child has ended, with an exit code as `subprocess` tells it."""

    number: int
    code: int


Message = Load | Split | Began | Fork | Retire | Forked | Outdated | Ended
_MESSAGES: dict[str, type[Message]] = {
    each.__name__: each for each in (Load, Split, Began, Fork, Retire, Forked, Outdated, Ended)
}


@dataclass(frozen=True)
class Order:
    """What a child becomes, and what it finds: its environment, without secrets, and its folder."""

    package: str
    environment: dict[str, str]
    folder: str | None

    def written(self) -> int:
        """The descriptor of a file in memory with it."""
        descriptor = os.memfd_create("order", os.MFD_CLOEXEC)
        with open(os.dup(descriptor), "w") as file:  # noqa: PTH123 - a descriptor
            json.dump(asdict(self), file)
        return descriptor

    @classmethod
    def read(cls, descriptor: int) -> "Order":
        """From such a file; its descriptor is closed."""
        with open(descriptor) as file:
            file.seek(0)
            return cls(**json.load(file))


def send(to: socket.socket, message: Message, descriptors: Sequence[int] = ()) -> None:
    """Send a message. Raises OSError."""
    content = json.dumps([type(message).__name__, asdict(message)]).encode()
    socket.send_fds(to, [content], list(descriptors))


def receive(source: socket.socket) -> tuple[Message | None, list[int]]:
    """A message and its descriptors; None: whoever sends is gone. Raises BlockingIOError."""
    content, descriptors, _, _ = socket.recv_fds(source, _LARGEST_BYTES, _MOST_DESCRIPTORS)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    if not content:
        return None, []
    name, fields = json.loads(content)
    return _MESSAGES[name](**fields), list(descriptors)
