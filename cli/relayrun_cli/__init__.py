"""The command relayrun."""
