"""What routes take from a path that names a thread."""

from typing import Annotated

from fastapi import Depends, Path

from relayrun_api.auth import Caller
from relayrun_api.services import Given
from relayrun_api.threads.service import ThreadRef, refer


async def _thread_ref(
    services: Given,
    caller: Caller,
    thread_id: Annotated[str, Path(description="A thread's UUID, or your own name for it")],
) -> ThreadRef:
    return await refer(services.database, caller, thread_id)


ThreadAt = Annotated[ThreadRef, Depends(_thread_ref)]
