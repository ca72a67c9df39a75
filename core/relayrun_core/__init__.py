"""Contracts of Relayrun: kinds, run states, events, settings, SQL and migrations."""
