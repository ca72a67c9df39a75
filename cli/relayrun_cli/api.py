"""A thin client of the HTTP API, for the verbs that look at runs."""

from __future__ import annotations

import os
from typing import Annotated, Any

import httpx
import typer

from relayrun_cli.errors import CliError

VARIABLE = "RELAYRUN_API_URL"
DEFAULT_URL = "http://127.0.0.1:8000"

Url = Annotated[str, typer.Option("--url", envvar=VARIABLE, help="The API's address.")]


class NoApiError(CliError):
    """Nothing answers at the API's address."""

    exit_code = 5


def call(url: str, method: str, path: str, body: Any = None) -> Any:
    """Call the API and return the JSON it answers, None for nothing.

    Raises `NoApiError` where nothing answers, `CliError` with the API's own sentence where it refuses.
    """
    token = os.environ.get("RELAYRUN_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.request(method, url.rstrip("/") + path, json=body, headers=headers, timeout=30)
    except httpx.HTTPError as error:
        raise NoApiError(f"No API at {url} ({error}). Start it with relayrun dev, or name it with --url.") from error
    if answer.is_error:
        raise CliError(_sentence(answer))
    return answer.json() if answer.content else None


def _sentence(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.request.url} answered {answer.status_code} {answer.reason_phrase}"
