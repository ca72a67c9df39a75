"""The long-term memory store: what the graphs and the clients use of it."""
