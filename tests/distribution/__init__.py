"""The distribution, as people install it."""
