"""The bench: what a run costs, measured from outside with the official SDK. See README.md here."""
