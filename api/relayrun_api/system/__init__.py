"""The server itself: probes, status, clean-up."""
