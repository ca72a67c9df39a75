"""Webhooks: who may be told of a run's end, and how it is told."""
