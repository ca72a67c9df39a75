"""Author code that calls the API of its own installation, with LangGraph's SDK and without an address."""
