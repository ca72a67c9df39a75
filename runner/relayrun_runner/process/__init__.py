"""The runner process: its start, its event loops, its health, its end."""
