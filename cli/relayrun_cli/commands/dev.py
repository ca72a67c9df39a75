"""`relayrun dev`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from relayrun_cli.dev.options import DATA_FOLDER, DEFAULT_PORT, STUDIO_URL, DevOptions
from relayrun_cli.errors import UsageError
from relayrun_cli.requirements import check_requirements
from relayrun_core.process.imports import quick_imports


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command("dev")(dev)


def dev(
    config: Annotated[Path, typer.Option("--config", "-c", help="The agent's langgraph.json.")] = Path(
        "langgraph.json"
    ),
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help=f"The API's port; without it {DEFAULT_PORT}, or the next free one."),
    ] = None,
    no_reload: Annotated[bool, typer.Option("--no-reload", help="Do not watch the code for changes.")] = False,
    n_jobs_per_worker: Annotated[int, typer.Option(min=1, help="How many runs a runner executes at once.")] = 10,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the console in a browser.")] = False,
    debug_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Start one runner under debugpy, listening on this port.")
    ] = None,
    wait_for_client: Annotated[
        bool, typer.Option("--wait-for-client", help="Wait for the debugger before loading the agent.")
    ] = False,
    studio_url: Annotated[str, typer.Option(help="The LangSmith Studio to link to.")] = STUDIO_URL,
    allow_blocking: Annotated[
        bool, typer.Option("--allow-blocking", help="Do not report nodes that block the event loop.")
    ] = False,
    server_log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    runners: Annotated[int, typer.Option(min=1, help="The number of runner processes.")] = 2,
    data: Annotated[
        Path | None, typer.Option(help=f"The data folder; by default {DATA_FOLDER} beside langgraph.json.")
    ] = None,
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="An origin whose pages may call the API; may be repeated.")
    ] = None,
    preload: Annotated[
        list[str] | None,
        typer.Option(
            envvar="RELAYRUN_PRELOAD",
            help="A module to import once, before runners are forked; may be repeated. It must start no thread.",
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Log everything: --server-log-level debug.")] = False,
) -> None:
    """Run the agent of a langgraph.json on this machine: Postgres, the API and runners.

    Kill any process, or all of them, and start again: the runs continue. Set DATABASE_URL to use your own Postgres.
    Everybody may call, unless langgraph.json has `auth`, or RELAYRUN_AUTH is set.
    """
    level = "debug" if debug else server_log_level.lower()
    if level not in ("debug", "info", "warning", "error", "critical"):
        raise UsageError(f"--server-log-level {server_log_level} is not one of debug, info, warning and error.")
    if wait_for_client and debug_port is None:
        raise UsageError("--wait-for-client needs --debug-port: the port to which the debugger connects.")
    config = config.absolute()
    options = DevOptions(
        config=config,
        host=host,
        port=port,
        reload=not no_reload,
        slots=n_jobs_per_worker,
        browser=not no_browser,
        debug_port=debug_port,
        wait_for_client=wait_for_client,
        studio_url=studio_url,
        allow_blocking=allow_blocking,
        log_level=level,
        runners=1 if debug_port is not None else runners,
        data=(data or config.parent / DATA_FOLDER).absolute(),
        cors_origins=tuple(cors_origin or ()),
        preload=tuple(name.strip() for given in preload or () for name in given.split(",") if name.strip()),
        auth=_auth(),
    )
    check_requirements()
    # Late: no other verb pays for these imports.
    import asyncio

    with quick_imports():
        from relayrun_cli.dev.starting import start_dev

    asyncio.run(start_dev(options))


def _auth() -> str | None:
    """What RELAYRUN_AUTH says, if that and the settings beside it are right; None: nothing."""
    from pydantic import ValidationError

    from relayrun_api.settings.access import AccessSettings

    auth = os.environ.get("RELAYRUN_AUTH")
    if not auth:
        return None
    try:
        return ",".join(AccessSettings.model_validate({"auth": auth}).auth)
    except ValidationError as error:
        # Its own text would repeat what was set, secrets included.
        problems = [f"{'.'.join(map(str, item['loc'])) or 'settings'}: {item['msg']}" for item in error.errors()]
        raise UsageError(f"The environment's RELAYRUN_AUTH and what belongs to it: {'; '.join(problems)}.") from None
