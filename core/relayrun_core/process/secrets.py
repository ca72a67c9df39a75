"""How a process receives its secrets, and how they leave its environment before author code loads.

Every process of the same user can read `/proc/<pid>/environ`, which shows the environment that a process started with,
even after the process removes a variable. So a parent on the same machine passes secrets through a pipe. Secrets that
come in the environment, as in a pod, are overwritten in the memory that the kernel reads.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

#: Names the file descriptor of the pipe that holds the secrets.
VARIABLE = "RELAYRUN_SECRETS_FD"
#: The variables that are secret. RELAYRUN_API_KEY is the command line's own.
SECRETS = frozenset(
    f"RELAYRUN_{name}"
    for name in (
        "API_KEY",
        "DATABASE_DIRECT_URL",
        "DATABASE_URL",
        "JWT_SECRET",
        "RUNNER_TOKEN",
        "TOKEN",
        "WEBHOOK_SECRET",
    )
)

# Every system's pipes buffer this much without a reader.
_LARGEST_BYTES = 16 * 1024
# Fields of /proc/self/stat after the name, which may contain spaces: the start and end address of each (proc(5)).
_ARGUMENTS, _ENVIRONMENT = slice(45, 47), slice(47, 49)


def take_secrets(*more: str) -> dict[str, str]:
    """Return this process's secrets by variable, those named `more` among them, and remove them from the environment.

    Call it before author code loads. A second call finds nothing.
    """
    wanted = SECRETS.union(more)
    found = {name.upper(): value for name, value in os.environ.items() if name.upper() in wanted}
    for name in [name for name in os.environ if name.upper() in wanted]:
        del os.environ[name]
    if found:
        hide_values(lambda name: name.upper() in wanted)
    return found | _handed_over()


def settings_of(secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets under the names of the settings' fields, to pass to a settings class."""
    return {name.removeprefix("RELAYRUN_").lower(): value for name, value in secrets.items()}


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without secrets, for a child that gets them through a pipe."""
    return {name: value for name, value in environment.items() if name.upper() not in SECRETS | {VARIABLE}}


def hand_over(secrets: Mapping[str, str]) -> int:
    """Return the read end of a pipe that holds the secrets. Name it in the child's `VARIABLE`, then close it here.

    Raises ValueError when the secrets are too large.
    """
    content = json.dumps(dict(secrets)).encode()
    if len(content) > _LARGEST_BYTES:
        raise ValueError(f"the secrets in the environment are larger than {_LARGEST_BYTES} bytes")
    read_end, write_end = os.pipe()
    try:
        os.write(write_end, content)
    finally:
        os.close(write_end)
    return read_end


def hide_values(is_hidden: Callable[[str], bool]) -> None:
    """Overwrite the values that /proc shows for the variables that `is_hidden` selects. Does nothing without /proc."""
    with suppress(FileNotFoundError):
        start, end = _range(_ENVIRONMENT)
        import ctypes  # late: it takes milliseconds, which only processes with secrets need to spend

        position = start
        for entry in ctypes.string_at(start, end - start).split(b"\0"):
            name, _, value = entry.partition(b"=")
            if is_hidden(name.decode(errors="replace")):
                ctypes.memset(position + len(name) + 1, ord("x"), len(value))
            position += len(entry) + 1


def show_as(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Make /proc, and so `ps`, show these arguments and variables. A forked process shows its parent's otherwise.

    The space is that of the parent's: variables that come first are shown first. Does nothing without /proc.
    """
    with suppress(FileNotFoundError):
        _fill(*_range(_ARGUMENTS), arguments)
        _fill(*_range(_ENVIRONMENT), [f"{name}={value}" for name, value in environment.items()])


def _handed_over() -> dict[str, str]:
    descriptor = os.environ.pop(VARIABLE, None)
    if descriptor is None:
        return {}
    with os.fdopen(int(descriptor), "rb") as pipe:
        secrets: dict[str, str] = json.loads(pipe.read())
    return secrets


def _range(which: slice) -> tuple[int, int]:
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = map(int, fields[which])
    return start, end


def _fill(start: int, end: int, entries: Sequence[str]) -> None:
    import ctypes

    text = b""
    for entry in map(os.fsencode, entries):
        if len(text) + len(entry) < end - start:
            text += entry + b"\0"
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)
