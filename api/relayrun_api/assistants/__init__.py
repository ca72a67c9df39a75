"""Assistants: a graph with settings, in versions."""
