import asyncio
from contextlib import asynccontextmanager

from langchain_core.tools import StructuredTool


@asynccontextmanager
async def connected():
    """As a client of an MCP server has it: tools as long as the connection is open."""
    lines: asyncio.Queue[str] = asyncio.Queue()

    async def send(to: str, text: str) -> str:
        await lines.put(f"{to}: {text}")
        return await lines.get()

    yield [StructuredTool.from_function(coroutine=send, name="send", description="Send a letter")]
