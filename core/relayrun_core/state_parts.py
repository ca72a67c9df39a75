"""The parts of a thread's state that a client selects."""

from collections.abc import Sequence
from typing import Any

#: The header of a runner's answer whose states have been reduced to the parts that were asked for.
SELECTED_HEADER = "Relayrun-Selected"
#: The reason of a runner whose 504 is not to be blamed on the agent's code.
READING_SLOW = "ReadingSlow"


def parts_of(state: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """A state's members by their names, or one of its values as `values.<key>`; what there is not is left out."""
    parts = {name: state[name] for name in fields if name in state}
    keys = [name.removeprefix("values.") for name in fields if name.startswith("values.")]
    values = state.get("values")
    if keys and "values" not in parts:
        parts["values"] = {key: values[key] for key in keys if key in values} if isinstance(values, dict) else values
    return parts
