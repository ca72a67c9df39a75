"""The API on Kubernetes: AgentRuns are made and deleted, Agents, Services and the operator's Lease are read."""
