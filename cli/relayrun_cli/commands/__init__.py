"""The verbs of `relayrun`, one module each."""
