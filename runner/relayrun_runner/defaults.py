"""What the environment says of the graphs' default assistants, in the variable of the Agent Server."""

import os
from typing import Any

import orjson

from relayrun_runner.config.model import Config
from relayrun_runner.errors import ConfigError

#: A JSON object with a config for each graph that has one: `{"agent": {"configurable": {"model": "small"}}}`.
VARIABLE = "LANGGRAPH_CONFIG"


def default_configs(config: Config) -> dict[str, dict[str, Any]]:
    """The configs by graph, as the environment has them now. Raises ConfigError."""
    text = os.environ.get(VARIABLE)
    if not text:
        return {}
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ConfigError(config.file, VARIABLE, f"the environment variable is no JSON: {error}") from error
    if not isinstance(given, dict) or not all(isinstance(each, dict) for each in given.values()):
        raise ConfigError(
            config.file, VARIABLE, 'the environment variable must be like {"graph": {"configurable": {}}}'
        )
    return given
