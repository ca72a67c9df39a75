"""Contracts of Relayrun: kinds, run states, events, settings, SQL and migrations."""

#: Of all parts, which are released together, and of the distribution `relayrun`.
__version__ = "0.1.0"
