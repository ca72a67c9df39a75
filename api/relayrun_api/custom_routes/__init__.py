"""Agents' own web apps (`http.app` of langgraph.json), reached through a runner."""
