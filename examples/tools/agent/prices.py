"""An MCP server with one tool. The agent `trip` starts it for each call, as a process of its own."""

from mcp.server.fastmcp import FastMCP

server = FastMCP("prices")
_EUROS = {"Lisbon": 120, "Oslo": 210}


@server.tool()
def price(city: str) -> int:
    """The price of a flight to a city, in euros."""
    return _EUROS.get(city, 150)


if __name__ == "__main__":
    server.run()
