"""Settings of a runner process, which the operator of `relayrun dev` hands on."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from relayrun_core.rotating import RotatingSecret
from relayrun_core.settings import CommaSeparated, CoreSettings

#: Providers of language models whose variables are known.
LLM_PROVIDERS = ("anthropic", "azure", "deepseek", "google", "groq", "mistral", "ollama", "openai", "xai")


class RunnerSettings(CoreSettings):
    """Settings of a runner process."""

    #: The agent's langgraph.json.
    config_path: Path = Path("langgraph.json")
    #: Hash of the code and settings that this runner was started with.
    build: str = ""
    name: str = "runner"
    #: The address to listen on.
    host: str = "127.0.0.1"
    #: The port to listen on.
    port: int = 8123
    #: The token that callers must send. A file with it takes precedence, and may change (see `relayrun_core.rotating`).
    token: SecretStr = SecretStr("")
    #: A file with that token, which may change.
    token_file: Path | None = None
    #: Where author code reaches the API when it creates a client without a URL: `http://host:port`.
    api_url: str = ""
    #: How many runs execute at once.
    slots: int = 10
    #: The most connections to the database. A run needs one only while it reads or writes.
    database_connections: int = Field(default=8, ge=4, le=1000)
    #: How many bytes of its output an attempt may add to the run's log. Further lines are dropped. 0: nothing is kept.
    run_log_bytes: int = Field(default=1_000_000, ge=0, le=100_000_000)
    #: How long a cancelled node may take to stop before its process is ended.
    cancel_grace_seconds: float = 5.0
    #: How long a draining runner waits for its runs' next step.
    drain_grace_seconds: float = 55.0
    #: Started by `relayrun dev`: the variables of `env` override the environment's, as in `langgraph dev`.
    in_dev: bool = False
    #: More modules to import before a runner is forked.
    preload: Annotated[list[str], *CommaSeparated] = []
    #: How the processes before this one in its pod ended, by reason: from the process that has forked it.
    deaths: dict[str, int] = {}

    @property
    def tokens(self) -> RotatingSecret:
        """What callers show, and what calls of author code are signed with."""
        return RotatingSecret(self.token.get_secret_value(), self.token_file)

    #: Do not warn when a node blocks the graphs' event loop.
    allow_blocking: bool = False
    #: Which language models to check: `auto` (those that the environment and the installed clients name), `off`,
    #: names of providers, and URLs of OpenAI-compatible endpoints, each with the name of the variable that has its
    #: key: `https://llm.example/v1 LLM_KEY`.
    llm_checks: Annotated[list[str], *CommaSeparated] = ["auto"]
    #: How often to check language models, at most.
    llm_check_seconds: float = Field(default=30, gt=0, le=3600)
    #: How long a language model has to answer a check.
    llm_check_limit_seconds: float = Field(default=2, gt=0, le=60)

    @field_validator("llm_checks")
    @classmethod
    def _are_endpoints(cls, value: list[str]) -> list[str]:
        for check in value:
            if check in ("auto", "off", *LLM_PROVIDERS):
                continue
            address, *variables = check.split()
            if not address.startswith(("http://", "https://")) or len(variables) > 1:
                known = ", ".join(LLM_PROVIDERS)
                raise ValueError(f"use auto, off, {known}, or a URL and the variable that has its key")
        if "off" in value and len(value) > 1:
            raise ValueError("off cannot be combined with other values")
        return value
