"""The same scenarios on this server and on `langgraph dev`: what differs is in `kept.py`, each with its reason."""
