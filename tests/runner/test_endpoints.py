"""Which endpoints an agent uses, by its environment, what is installed beside it, and RELAYRUN_LLM_CHECKS."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from relayrun_core.runner_settings import LLM_PROVIDERS, RunnerSettings
from relayrun_runner.llm.endpoints import Endpoint, endpoints_of, installed_clients
from relayrun_runner.llm.providers import CLIENTS, PROVIDERS

AUTO = ["auto"]


def only(env: dict[str, str], checks: list[str] = AUTO, installed: frozenset[str] = CLIENTS) -> Endpoint:
    [endpoint] = endpoints_of(checks, env, installed)
    return endpoint


@pytest.mark.parametrize(
    ("env", "url", "headers"),
    [
        ({"OPENAI_API_KEY": "k"}, "https://api.openai.com/v1/models", {"Authorization": "Bearer k"}),
        ({"OPENAI_BASE_URL": "http://vllm:8000/v1/"}, "http://vllm:8000/v1/models", {}),
        ({"OPENAI_API_BASE": "http://a/v1", "OPENAI_BASE_URL": "http://b/v1"}, "http://a/v1/models", {}),
        (
            {"OPENAI_API_KEY": "k", "OPENAI_ORG_ID": "o", "OPENAI_PROJECT_ID": "p"},
            "https://api.openai.com/v1/models",
            {"Authorization": "Bearer k", "OpenAI-Organization": "o", "OpenAI-Project": "p"},
        ),
        (
            {"ANTHROPIC_API_KEY": "k"},
            "https://api.anthropic.com/v1/models?limit=1",
            {"x-api-key": "k", "anthropic-version": "2023-06-01"},
        ),
        (
            {"ANTHROPIC_AUTH_TOKEN": "t", "ANTHROPIC_BASE_URL": "https://gateway.example/anthropic"},
            "https://gateway.example/anthropic/v1/models?limit=1",
            {"Authorization": "Bearer t", "anthropic-version": "2023-06-01"},
        ),
        (
            {"GEMINI_API_KEY": "second", "GOOGLE_API_KEY": "first"},
            "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1",
            {"x-goog-api-key": "first"},
        ),
        ({"MISTRAL_API_KEY": "k"}, "https://api.mistral.ai/v1/models", {"Authorization": "Bearer k"}),
        ({"GROQ_API_KEY": "k"}, "https://api.groq.com/openai/v1/models", {"Authorization": "Bearer k"}),
        ({"DEEPSEEK_API_KEY": "k"}, "https://api.deepseek.com/v1/models", {"Authorization": "Bearer k"}),
        ({"XAI_API_KEY": "k"}, "https://api.x.ai/v1/models", {"Authorization": "Bearer k"}),
        (
            {"AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com/", "AZURE_OPENAI_API_KEY": "k"},
            "https://me.openai.azure.com/openai/models?api-version=2024-10-21",
            {"api-key": "k"},
        ),
        ({"OLLAMA_HOST": "ollama"}, "http://ollama:11434/api/tags", {}),
        ({"OLLAMA_HOST": "http://ollama:1234"}, "http://ollama:1234/api/tags", {}),
        ({"OLLAMA_HOST": ":1234"}, "http://127.0.0.1:1234/api/tags", {}),
        ({"OLLAMA_HOST": "[::1]"}, "http://[::1]:11434/api/tags", {}),
    ],
)
def test_a_providers_variables_say_where_its_list_of_models_is(
    env: dict[str, str], url: str, headers: dict[str, str]
) -> None:
    endpoint = only(env)
    assert (endpoint.url, endpoint.headers, endpoint.problem) == (url, headers, None)


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"OPENAI_API_KEY": ""},
        # Azure's client reads these as well.
        {"OPENAI_API_KEY": "k", "OPENAI_API_BASE": "https://me.openai.azure.com", "OPENAI_API_TYPE": "Azure"},
        {"GOOGLE_API_KEY": "k", "GOOGLE_GENAI_USE_VERTEXAI": "True"},
        # A managed identity has no key in a variable.
        {"AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com"},
        {"AZURE_OPENAI_API_KEY": "the address is in the code"},
        {"OLLAMA_API_KEY": "k"},
    ],
)
def test_what_says_nothing_of_an_endpoint_is_not_asked(env: dict[str, str]) -> None:
    assert endpoints_of(AUTO, env, CLIENTS) == []


def test_a_key_counts_only_beside_a_client_and_an_address_by_itself() -> None:
    keys = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "OLLAMA_HOST": "ollama"}
    assert endpoints_of(AUTO, keys, frozenset()) == []
    assert only(keys, installed=frozenset({"anthropic"})).url.startswith("https://api.anthropic.com/")
    assert len(endpoints_of(AUTO, keys, frozenset({"litellm"}))) == 3
    assert only(keys | {"OPENAI_BASE_URL": "http://vllm/v1"}, installed=frozenset()).address == "http://vllm/v1"


def test_the_clients_that_are_installed_are_found() -> None:
    assert "openai" in installed_clients()
    assert "litellm" not in installed_clients()


def test_endpoints_can_be_named() -> None:
    env = {"OPENAI_API_KEY": "k", "MISTRAL_API_KEY": "m", "LLM_KEY": "l"}
    checks = ["mistral", "https://llm.example/v1 LLM_KEY", "http://vllm/v1", "http://vllm/v1"]
    found = endpoints_of(checks, env, frozenset())
    assert [(one.name, one.url, dict(one.headers)) for one in found] == [
        ("mistral https://api.mistral.ai/v1", "https://api.mistral.ai/v1/models", {"Authorization": "Bearer m"}),
        ("LLM_KEY https://llm.example/v1", "https://llm.example/v1/models", {"Authorization": "Bearer l"}),
        ("http://vllm/v1", "http://vllm/v1/models", {}),
    ]
    assert [one.keyless for one in found] == [None, None, None]
    assert only({}, ["openai"]).keyless == "OPENAI_API_KEY"
    assert only({}, ["azure"]).problem == "AZURE_OPENAI_ENDPOINT has no address that begins with http:// or https://"
    assert endpoints_of(["off"], env, CLIENTS) == []


@pytest.mark.parametrize("key", ["sk-secret\n", " sk-secret", "sk-secrét", "sk-\x00secret", "sk-secret\udcff"])
def test_a_key_that_no_request_can_carry_is_named_by_its_variable_alone(key: str) -> None:
    endpoint = only({"OPENAI_API_KEY": key})
    assert endpoint.problem is not None
    assert endpoint.problem.startswith("OPENAI_API_KEY has a line break")
    assert not endpoint.headers


@pytest.mark.parametrize(
    "address",
    [
        "llm.example/v1",
        "sk-a-key-in-the-wrong-variable",
        "ftp://llm/v1",
        "http://",
        "http://a:port/",
        "http://[/",
        "\udcff",
    ],
)
def test_what_is_no_address_is_not_repeated(address: str) -> None:
    endpoint = only({"OPENAI_BASE_URL": address})
    problem = "OPENAI_BASE_URL has no address that begins with http:// or https://"
    assert endpoint == Endpoint("openai", problem=problem)


def test_secrets_are_neither_in_the_address_nor_in_what_a_log_would_show() -> None:
    endpoint = only({"OPENAI_BASE_URL": "https://me:secret@llm.example/v1?key=secret", "OPENAI_API_KEY": "secret"})
    assert endpoint.url == "https://me:secret@llm.example/v1/models"
    assert endpoint.address == "https://llm.example/v1"
    assert "secret" not in repr(endpoint)


def test_the_setting_knows_the_providers() -> None:
    assert set(LLM_PROVIDERS) == set(PROVIDERS)


@pytest.mark.parametrize(
    ("text", "checks"),
    [
        ("off", ["off"]),
        ("auto", ["auto"]),
        ("", []),
        ("openai, https://llm.example/v1 LLM_KEY", ["openai", "https://llm.example/v1 LLM_KEY"]),
    ],
)
def test_the_setting_is_a_list_with_commas(monkeypatch: pytest.MonkeyPatch, text: str, checks: list[str]) -> None:
    monkeypatch.setenv("RELAYRUN_LLM_CHECKS", text)
    assert RunnerSettings(token="t").llm_checks == checks


@pytest.mark.parametrize("text", ["opena", "off,openai", "llm.example/v1", "https://llm.example/v1 A B"])
def test_a_setting_that_means_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("RELAYRUN_LLM_CHECKS", text)
    with pytest.raises(ValidationError, match=r"use auto, off, anthropic|off cannot be combined"):
        RunnerSettings(token="t")
