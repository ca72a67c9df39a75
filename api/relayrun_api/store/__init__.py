"""The store: what agents remember beyond a thread."""
