"""The event protocol of the newest LangGraph clients: journal events translated to protocol events."""
