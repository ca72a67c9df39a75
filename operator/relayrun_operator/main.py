"""Starts the operator on Kubernetes. Exit codes: 0 told to stop, 1 something broke or the Lease was lost."""

import asyncio
import logging
import os
import signal
import sys

from relayrun_core.logs import configure_logging
from relayrun_operator.kube.operator import Operator
from relayrun_operator.settings import OperatorSettings

logger = logging.getLogger("relayrun.kube")


def main() -> None:
    """Run until told to stop. Whatever breaks ends the process: the next one finds out again what there is."""
    settings = OperatorSettings()
    configure_logging(settings.log_level, settings.log_format)
    for noisy in ("kopf", "asyncio", "aiohttp", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    code = asyncio.run(_run(settings))
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)  # crash-only: nothing that still runs here has anything to save


async def _run(settings: OperatorSettings) -> int:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    operator = Operator(settings)
    work = asyncio.create_task(operator.run(), name="operator")
    stop = asyncio.create_task(told.wait(), name="signals")
    await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not work.done():
        logger.info("told to stop")
        await operator.release()
        return 0
    error = work.exception()
    logger.critical("the operator ends, its replacement starts anew: %s", error, exc_info=error)
    return 1
