"""Streams: following a run's journal, and server-sent events."""
