"""Threads: their states, histories and streams."""
