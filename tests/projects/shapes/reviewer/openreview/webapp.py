from langgraph_sdk import get_client
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def hook(request):
    change = (await request.json())["change"]
    values = await get_client().runs.wait(None, "reviewer", input={"change": change})
    return JSONResponse(values["verdict"])


app = Starlette(routes=[Route("/webhooks/change", hook, methods=["POST"])])
