"""The event protocol's commands."""
