"""The Model Context Protocol at /mcp: assistants as tools, calls as runs."""
