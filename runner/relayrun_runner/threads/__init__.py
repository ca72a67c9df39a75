"""Threads' states: read, edited, made."""
