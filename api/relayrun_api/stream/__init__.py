"""Streams: following a run's journal, translating it, and writing it as server-sent events."""
