"""What tells an AgentRun from another one of its namespace and name: what it executes, and not its UID."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from relayrun_core.kinds.agentrun import MUTABLE, AgentRunSpec
from relayrun_core.kinds.base import GROUP

#: An annotation: an AgentRun that was there before is executed again, once for each value.
RERUN = f"{GROUP}/rerun"

_DEFAULTS = {
    field.alias or name: field.get_default(call_default_factory=True, validated_data={})
    for name, field in AgentRunSpec.model_fields.items()
    if not field.is_required()
}


def spec_hash(spec: Mapping[str, Any], annotations: Mapping[str, str]) -> str:
    """A hash of an AgentRun's spec, as the API server has it, and of the annotation that asks for another execution.

    It is the same with and without fields that have their default, and whatever fields later versions add. Empty for a
    spec that is nested too deeply.
    """
    said = {key: value for key, value in spec.items() if key not in MUTABLE and value != _DEFAULTS.get(key, ...)}
    try:
        text = json.dumps([said, annotations.get(RERUN)], sort_keys=True, separators=(",", ":"))
    except RecursionError:
        return ""  # nested too deeply for any runner as well
    return hashlib.sha256(text.encode()).hexdigest()
