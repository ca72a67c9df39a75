"""The two Kubernetes kinds, as pydantic models; the CRDs are generated from these."""

from relayrun_core.kinds.agent import Agent, AgentSpec, AgentStatus
from relayrun_core.kinds.agentrun import AgentRun, AgentRunSpec, AgentRunStatus
from relayrun_core.kinds.base import API_VERSION, GROUP, VERSION, Condition

__all__ = [
    "API_VERSION",
    "GROUP",
    "VERSION",
    "Agent",
    "AgentRun",
    "AgentRunSpec",
    "AgentRunStatus",
    "AgentSpec",
    "AgentStatus",
    "Condition",
]
