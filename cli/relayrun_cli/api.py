"""A thin client of the HTTP API, and the options that name it: their one home."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from relayrun_cli.errors import NOT_FOUND, NoApiError, RefusedError, UsageError

if TYPE_CHECKING:
    import httpx

URL_VARIABLE = "RELAYRUN_URL"
DEFAULT_URL = "http://127.0.0.1:8000"
_CALL_SECONDS = 30.0
_CONNECT_SECONDS = 5.0

Url = Annotated[str, typer.Option("--url", envvar=URL_VARIABLE, help="The API's address.")]
Token = Annotated[
    str | None, typer.Option("--token", envvar="RELAYRUN_TOKEN", help="A JWT: who you are.", show_default=False)
]
ApiKey = Annotated[
    str | None,
    typer.Option("--api-key", envvar="RELAYRUN_API_KEY", help="An API key, in place of a JWT.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="For machines: JSON; of a stream, one line an event.")]


@dataclass(frozen=True)
class Api:
    """An API, and who calls it. Every method raises NoApiError, RefusedError and UsageError."""

    url: str = DEFAULT_URL
    token: str | None = None
    api_key: str | None = None

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float = _CALL_SECONDS,
    ) -> Any:
        """The JSON of an answer, None where there is nothing."""
        import httpx

        timeout = httpx.Timeout(seconds, connect=_CONNECT_SECONDS)
        with self._failures():
            answer = self._client.request(method, path, json=body, headers=headers, timeout=timeout)
        _check(answer)
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            raise NoApiError(f"{self.url} does not answer as a Relayrun API: check --url.") from error

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str], *, silence_seconds: float) -> Iterator[httpx.Response]:
        """An answer that is read as it comes; NoApiError too when it breaks off, or is silent for so long."""
        import httpx

        timeout = httpx.Timeout(silence_seconds, connect=_CONNECT_SECONDS)
        with self._failures(), self._client.stream("GET", path, headers=dict(headers), timeout=timeout) as answer:
            if answer.is_error:
                answer.read()
            _check(answer)
            yield answer

    def close(self) -> None:
        """Let go of its connections."""
        if "_client" in self.__dict__:
            self._client.close()

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx

        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= {"X-Api-Key": self.api_key} if self.api_key else {}
        try:
            # Loading certificates takes longer than most calls, and plain HTTP needs none.
            return httpx.Client(base_url=self.url, headers=headers, verify=self.url.lower().startswith("https:"))
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise UsageError(f"--url, --token or --api-key cannot be sent: {error}.") from error

    @contextmanager
    def _failures(self) -> Iterator[None]:
        import httpx

        try:
            yield
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise UsageError(f"--url {self.url} is not the URL of an API: {error}. Write {DEFAULT_URL}.") from error
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise NoApiError(
                f"No API at {self.url} ({why}). Start it with relayrun dev, or name it with --url."
            ) from error


def with_api(verb: Callable[..., None]) -> Callable[..., None]:
    """A command whose first parameter, the `Api`, is made of the options --url, --token and --api-key."""
    signature = inspect.signature(verb, eval_str=True)
    kept = list(signature.parameters.values())[1:]
    asked = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, default, annotation in (("url", DEFAULT_URL, Url), ("token", None, Token), ("api_key", None, ApiKey))
    ]

    def command(*, url: str, token: str | None, api_key: str | None, **options: Any) -> None:
        api = Api(url, token, api_key)
        try:
            verb(api, **options)
        finally:
            api.close()

    # typer reads a command's options from its signature.
    command.__signature__ = signature.replace(parameters=[*kept, *asked])  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in (*kept, *asked)}
    command.__name__, command.__doc__ = verb.__name__, verb.__doc__
    return command


def examples(*lines: str) -> str:
    """The end of a command's help."""
    # typer joins lines within a paragraph, and reads square brackets as markup.
    return "\n\n".join(["Examples:", *(line.replace("[", r"\[") for line in lines)])


def quoted(name: str) -> str:
    """A name as a part of a path."""
    return quote(name, safe="")


def _check(answer: httpx.Response) -> None:
    if not answer.is_error:
        return
    sentence = _sentence(answer)
    # A gateway's 502 has no sentence of ours.
    away = (503, 504) if sentence else (502, 503, 504)
    sentence = sentence or f"{answer.request.url} answered {answer.status_code} {answer.reason_phrase}: is --url right?"
    if answer.status_code in away:
        raise NoApiError(sentence)
    raise RefusedError(sentence, NOT_FOUND if _is_missing(answer) else answer.status_code)


def _is_missing(answer: httpx.Response) -> bool:
    """Whether there is no such thing, also where the Agent Server says that its id is none."""
    try:
        return str(answer.json()["code"]).endswith("_not_found")
    except (ValueError, TypeError, KeyError):
        return answer.status_code == NOT_FOUND


def _sentence(answer: httpx.Response) -> str | None:
    try:
        return str(json.loads(answer.content)["detail"])
    except (ValueError, KeyError, TypeError):
        return None
