"""Starts the operator on Kubernetes. Exit codes: 0 told to stop, 1 something broke or the Lease was lost."""

import asyncio
import logging
import os
import signal
import sys
from typing import NoReturn

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
    asyncio.run(_run(settings))


async def _run(settings: OperatorSettings) -> NoReturn:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def claim_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)

    claim_signals()
    operator = Operator(settings, claim_signals)
    work = asyncio.create_task(operator.run(), name="operator")
    stop = asyncio.create_task(stopping.wait(), name="signals")
    await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not work.done():
        logger.info("told to stop")
        await operator.release()
        _end(0)
    error = work.exception()
    logger.critical("the operator ends, its replacement starts anew: %s", error, exc_info=error)
    _end(1)


def _end(code: int) -> NoReturn:
    """End at once: nothing that still runs here has anything to save, and it must not renew the Lease again."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)
