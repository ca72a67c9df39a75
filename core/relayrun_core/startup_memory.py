"""The memory in which a process got its arguments and its environment: where /proc, and so `ps`, reads them."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

# Of /proc/self/stat, behind the name, which may have spaces: where each begins and ends (proc(5)).
_ARGUMENTS, _ENVIRONMENT = slice(45, 47), slice(47, 49)


def hide_values(is_hidden: Callable[[str], bool]) -> None:
    """Overwrite the values of the environment's variables that `is_hidden` says. Nothing where there is no /proc."""
    with suppress(FileNotFoundError):
        start, end = _range(_ENVIRONMENT)
        import ctypes  # late: it takes milliseconds, which only who has something to hide pays

        position = start
        for entry in ctypes.string_at(start, end - start).split(b"\0"):
            name, _, value = entry.partition(b"=")
            if is_hidden(name.decode(errors="replace")):
                ctypes.memset(position + len(name) + 1, ord("x"), len(value))
            position += len(entry) + 1


def tell_as(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Have /proc tell these, as far as there is room: a forked process starts with what its parent was started with.

    The variables in front have room first. Nothing where there is no /proc.
    """
    with suppress(FileNotFoundError):
        _fill(*_range(_ARGUMENTS), arguments)
        _fill(*_range(_ENVIRONMENT), [f"{name}={value}" for name, value in environment.items()])


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
