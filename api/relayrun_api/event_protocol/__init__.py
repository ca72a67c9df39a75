"""The event protocol of LangGraph's newest clients: commands to a thread, and its events."""
