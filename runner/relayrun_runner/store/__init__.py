"""The long-term memory store, for graphs and for clients."""
