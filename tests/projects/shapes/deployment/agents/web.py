import os

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

app = Starlette(routes=[Route("/stage", lambda request: PlainTextResponse(os.environ["STAGE"]))])
