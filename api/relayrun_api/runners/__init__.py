"""Runners and agents: asked for what needs a compiled graph, and told about runs."""
