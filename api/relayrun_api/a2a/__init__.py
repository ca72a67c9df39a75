"""Agents that call agents: the A2A protocol (a2a-protocol.org) in its versions 0.3 and 1.0, over JSON-RPC."""
