"""docs/reference/langgraph-json.md says what becomes of every key; this holds it against the code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relayrun_cli.errors import CliError
from relayrun_cli.images import agent_image
from relayrun_runner.config import fates
from relayrun_runner.config.load import load_config
from relayrun_runner.errors import ConfigError
from tests.cli.documents import rows, sections

TABLE = {
    cells[0].strip("`"): (cells[1], cells[2]) for cells in rows(sections("reference/langgraph-json.md")["Every key"])
}


def in_the_code() -> dict[str, str]:
    nested = {f"{parent}.{key}" for parent, keys in fates.NESTED.items() for key in keys}
    fated = {
        **dict.fromkeys(nested | fates.WORKS, "works"),
        **dict.fromkeys(fates.BUILD_ONLY, "build only"),
        **dict.fromkeys(fates.IGNORED, "ignored"),
        **dict.fromkeys(fates.REFUSED, "refused"),
    }
    assert set(fated) >= fates.top_level_keys()
    return fated


def test_the_page_and_the_code_agree_on_every_keys_fate() -> None:
    assert {key: fate for key, (fate, _) in TABLE.items()} == in_the_code()


def test_the_page_says_what_the_command_says() -> None:
    said = {**fates.IGNORED, **fates.REFUSED}
    assert {key: TABLE[key][1] for key in said} == said


def nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


@pytest.mark.parametrize("key", [key for key, (fate, _) in TABLE.items() if fate in ("ignored", "refused")])
def test_an_ignored_key_is_warned_about_once_and_a_refused_one_refused_by_name(tmp_path: Path, key: str) -> None:
    file = tmp_path / "langgraph.json"
    written = nested(key, {"some": "thing"})
    if "auth" in written:
        written["auth"]["path"] = "./auth.py:auth"
    file.write_text(json.dumps({"graphs": {"agent": "./agent.py:graph"}, **written}))
    if TABLE[key][0] == "ignored":
        [warning] = load_config(file).warnings
        assert f"{key} is ignored" in warning
    else:
        with pytest.raises(ConfigError, match=rf": {key}: "):
            load_config(file)


@pytest.mark.parametrize("key", sorted(fates.BUILD_ONLY))
def test_a_key_for_build_only_changes_the_image_or_says_that_it_does_not(tmp_path: Path, key: str) -> None:
    value = ["RUN true"] if key == "dockerfile_lines" else "uv" if key == "pip_installer" else "other"

    def image(**keys: Any) -> Any:
        file = tmp_path / "langgraph.json"
        file.write_text(json.dumps({"graphs": {"a": "./a.py:graph"}, "dependencies": ["httpx"], **keys}))
        config = load_config(file)
        assert config.warnings == ()  # `dev` says nothing of it
        return agent_image(config)

    if key == "python_version":
        with pytest.raises(CliError, match="python_version is other"):
            image(**{key: value})
        return
    built = image(**{key: value})
    says_so = any(warning.startswith(f"{key} has no effect") for warning in built.warnings)
    assert says_so == ("no effect" in TABLE[key][1])
    assert says_so == (built.dockerfile == image().dockerfile)
