"""Webhooks: who may be told of the end of a run, and how."""
