"""The author's own web app."""
