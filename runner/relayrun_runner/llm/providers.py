"""How the clients of language models' providers find their endpoint and their key, and how each lists its models.

Facts of the providers' own clients and of LangChain's; Vertex AI and Bedrock have no key that could be tried.
"""

from dataclasses import dataclass

OLLAMA_PORT = 11434
#: A client that calls every provider by itself.
ANY_PROVIDER = "litellm"


@dataclass(frozen=True)
class Provider:
    """One provider. Of several variables the first that is set counts."""

    name: str
    #: Where it is when no variable says so; empty: a variable has to.
    address: str
    path: str
    keys: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    #: Packages that call it.
    clients: tuple[str, ...] = ()
    #: What carries the key.
    header: str = "Authorization"
    #: Variables with a bearer token, beside a key or in place of it.
    tokens: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    #: Headers whose value is in a variable.
    headers_from: tuple[tuple[str, str], ...] = ()
    #: A variable, and those of its values with which all the others are meant for another provider.
    unless: tuple[str, ...] = ("",)
    #: Who has set no key signs in otherwise.
    needs_key: bool = False
    #: Its address's variable is also that of a server on this machine.
    needs_client: bool = False


_ALL = (
    Provider(
        "openai",
        "https://api.openai.com/v1",
        "/models",
        keys=("OPENAI_API_KEY",),
        addresses=("OPENAI_API_BASE", "OPENAI_BASE_URL"),
        clients=("openai",),
        headers_from=(("OpenAI-Organization", "OPENAI_ORG_ID"), ("OpenAI-Project", "OPENAI_PROJECT_ID")),
        unless=("OPENAI_API_TYPE", "azure", "azure_ad", "azuread"),
    ),
    Provider(
        "azure",
        "",
        "/openai/models?api-version=2024-10-21",
        keys=("AZURE_OPENAI_API_KEY",),
        addresses=("AZURE_OPENAI_ENDPOINT",),
        clients=("openai",),
        header="api-key",
        tokens=("AZURE_OPENAI_AD_TOKEN",),
        needs_key=True,
    ),
    Provider(
        "anthropic",
        "https://api.anthropic.com",
        "/v1/models?limit=1",
        keys=("ANTHROPIC_API_KEY",),
        addresses=("ANTHROPIC_API_URL", "ANTHROPIC_BASE_URL"),
        clients=("anthropic",),
        header="x-api-key",
        tokens=("ANTHROPIC_AUTH_TOKEN",),
        headers=(("anthropic-version", "2023-06-01"),),
    ),
    Provider(
        "google",
        "https://generativelanguage.googleapis.com",
        "/v1beta/models?pageSize=1",
        keys=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        addresses=("GOOGLE_GEMINI_BASE_URL",),
        clients=("google-genai", "google-generativeai", "langchain-google-genai"),
        header="x-goog-api-key",
        unless=("GOOGLE_GENAI_USE_VERTEXAI", "true", "1"),
    ),
    Provider(
        "mistral",
        "https://api.mistral.ai/v1",
        "/models",
        keys=("MISTRAL_API_KEY",),
        addresses=("MISTRAL_BASE_URL",),
        clients=("mistralai", "langchain-mistralai"),
    ),
    Provider(
        "groq",
        "https://api.groq.com",
        "/openai/v1/models",
        keys=("GROQ_API_KEY",),
        addresses=("GROQ_API_BASE", "GROQ_BASE_URL"),
        clients=("groq",),
    ),
    Provider(
        "deepseek",
        "https://api.deepseek.com/v1",
        "/models",
        keys=("DEEPSEEK_API_KEY",),
        addresses=("DEEPSEEK_API_BASE",),
        clients=("langchain-deepseek",),
    ),
    Provider(
        "xai",
        "https://api.x.ai/v1",
        "/models",
        keys=("XAI_API_KEY",),
        addresses=("XAI_API_BASE",),
        clients=("langchain-xai", "xai-sdk"),
    ),
    Provider(
        "ollama",
        "",
        "/api/tags",
        keys=("OLLAMA_API_KEY",),
        addresses=("OLLAMA_HOST",),
        clients=("ollama",),
        needs_client=True,
    ),
)
PROVIDERS = {provider.name: provider for provider in _ALL}
CLIENTS = frozenset({ANY_PROVIDER}.union(*(provider.clients for provider in _ALL)))
