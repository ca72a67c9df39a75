"""Default assistants, as the environment configures them and authors name them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relayrun_runner.config.load import VARIABLE, default_configs
from relayrun_runner.config.model import Config
from relayrun_runner.errors import ConfigError


def config(folder: Path) -> Config:
    return Config(folder / "langgraph.json", folder, {})


@pytest.mark.parametrize(
    ("text", "configs"),
    [
        ("", {}),
        ('{"a": {"configurable": {"model": "small"}}, "b": {}}', {"a": {"configurable": {"model": "small"}}, "b": {}}),
    ],
)
def test_the_environment_configures_graphs_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, configs: dict[str, Any]
) -> None:
    monkeypatch.setenv(VARIABLE, text)
    assert default_configs(config(tmp_path)) == configs


@pytest.mark.parametrize("text", ["{", "[]", '"a"', '{"a": 1}', '{"a": null}'])
def test_anything_else_is_said_with_the_variables_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ConfigError, match=VARIABLE):
        default_configs(config(tmp_path))
