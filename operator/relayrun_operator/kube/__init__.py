"""The operator on Kubernetes: the engine applied to AgentRuns, Agents and runner pods."""
