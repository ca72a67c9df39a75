"""What clients do, written once for every server."""
