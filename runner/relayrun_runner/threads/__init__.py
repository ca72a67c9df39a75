"""The states of threads: reading, editing, creating."""
