from contextlib import asynccontextmanager

from inbox.model import Scripted
from inbox.tools import connected
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain.agents.structured_output import ToolStrategy
from pydantic import BaseModel


class Letter(BaseModel):
    to: str
    pages: int


@asynccontextmanager
async def make_agent():
    async with connected() as tools:
        asks = HumanInTheLoopMiddleware(interrupt_on={"send": {"allowed_decisions": ["approve", "edit", "reject"]}})
        yield create_agent(Scripted(arguments={"to": "ada", "text": "hi"}), tools, middleware=[asks])


extract = create_agent(Scripted(arguments={"to": "ada", "pages": 2}), [], response_format=ToolStrategy(Letter))
