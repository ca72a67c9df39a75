"""The loop that both worlds share: a cache of what was observed, a work queue, decisions, and calls to runners."""
