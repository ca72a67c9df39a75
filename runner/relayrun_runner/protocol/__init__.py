"""The protocol: the HTTP server of one runner, which the world and the API ask."""
