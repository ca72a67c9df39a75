"""Connections to runners, of which any may be killed at any moment."""

import httpx


class RunnerTransport(httpx.AsyncHTTPTransport):
    """httpx's own, whose every failure to reach a runner is a TransportError."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request."""
        try:
            return await super().handle_async_request(request)
        except AttributeError as error:
            # anyio 4.16 on uvloop asks a connection that was reset while it was opened for its socket, and gets None.
            raise httpx.ConnectError("The connection was reset while it was opened.", request=request) from error
