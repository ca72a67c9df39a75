import contextlib

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from react_agent.graph import NAME


@contextlib.asynccontextmanager
async def lifespan(app):
    app.state.greeting = "hello"
    yield


async def whoami(request):
    return JSONResponse([request.app.state.greeting, request.user.identity, NAME])


app = Starlette(lifespan=lifespan, routes=[Route("/app/whoami", whoami)])
