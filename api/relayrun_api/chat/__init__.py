"""The simple endpoints, for frontends without an SDK."""
