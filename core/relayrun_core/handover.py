"""The secrets of a process: how it is handed them, and how they leave its environment before author code loads.

Every process of the same user may read `/proc/<pid>/environ`, which shows the environment that a process was started
with, whatever it removes later. So parents on this machine write the secrets into a pipe; where they come in the
environment, as in a pod, they are overwritten in memory, where the kernel reads them.
"""

import json
import os
from collections.abc import Mapping

from relayrun_core.startup_memory import hide_values

#: The descriptor of the pipe with the secrets.
VARIABLE = "RELAYRUN_SECRETS_FD"
#: What may be in it or in the environment, in capitals. RELAYRUN_API_KEY is the command line's own.
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

# A pipe takes so much at once on every system, without anybody who reads.
_LARGEST_BYTES = 16 * 1024


def take_secrets(*more: str) -> dict[str, str]:
    """This process's secrets by variable, and those named `more`; from here on they are nowhere else.

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
    """The secrets as the settings' own words, to be given to these."""
    return {name.removeprefix("RELAYRUN_").lower(): value for name, value in secrets.items()}


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a child that is handed its secrets by a pipe."""
    return {name: value for name, value in environment.items() if name.upper() not in SECRETS | {VARIABLE}}


def hand_over(secrets: Mapping[str, str]) -> int:
    """A pipe's end with the secrets, for a child: pass it on under `VARIABLE`, and close it. Raises ValueError."""
    content = json.dumps(dict(secrets)).encode()
    if len(content) > _LARGEST_BYTES:
        raise ValueError(f"the secrets of the environment have more than {_LARGEST_BYTES} bytes")
    read_end, write_end = os.pipe()
    try:
        os.write(write_end, content)
    finally:
        os.close(write_end)
    return read_end


def _handed_over() -> dict[str, str]:
    descriptor = os.environ.pop(VARIABLE, None)
    if descriptor is None:
        return {}
    with os.fdopen(int(descriptor), "rb") as pipe:
        secrets: dict[str, str] = json.loads(pipe.read())
    return secrets
