"""Bodies about the store's items, as the LangGraph SDKs send them."""

from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from relayrun_api.http import examples as things
from relayrun_api.http.models import LangGraphBody, Name
from relayrun_core.db.metadata_filter import check_contained

_MOST_LABELS = 20
_LONGEST_KEY = 1024
# Postgres's index over namespace and key holds 2,700 bytes; the names of indexed fields need some of them.
_MOST_NAME_BYTES = 2000
_MOST_VALUE_BYTES = 1024 * 1024
# Each goes through the whole value, on the loop of the graphs.
_MOST_PATHS = 10
_MOST_PATH_BYTES = 256
# For a search by meaning all that is skipped is ranked too.
_MOST_RANKED = 10_000

_EQUALITY = frozenset(("$eq", "$ne"))
_ORDER = frozenset(("$gt", "$gte", "$lt", "$lte"))
_MOST_CONDITIONS = 100
_DEEPEST_FILTER = 10


def _label(label: str) -> str:
    if "." in label:
        raise ValueError(f"namespace label {label!r} must be a string without periods, which separate labels")
    return label


def _split(value: Any) -> Any:
    """`a.b`, as a query has it, in its labels."""
    return [label for part in value for label in part.split(".")] if isinstance(value, list) else value


def _few_and_short(paths: Literal[False] | list[str] | None) -> Literal[False] | list[str] | None:
    if paths and len(paths) > _MOST_PATHS:
        raise ValueError(f"`index` has at most {_MOST_PATHS} paths")
    if paths and any(len(path.encode()) > _MOST_PATH_BYTES for path in paths):
        raise ValueError(f"a path of `index` has at most {_MOST_PATH_BYTES} bytes")
    return paths


def _outside_langgraph(namespace: list[str]) -> list[str]:
    if namespace[0] == "langgraph":
        raise ValueError("a namespace that begins with `langgraph` is reserved for LangGraph: use another first label")
    return namespace


def _is_small(value: dict[str, Any]) -> dict[str, Any]:
    if len(orjson.dumps(value)) > _MOST_VALUE_BYTES:
        raise ValueError("the value is longer than 1 MiB of JSON: store its parts as items of their own")
    return value


def _is_a_filter(wanted: dict[str, Any]) -> dict[str, Any]:
    if operator := next((key for key in wanted if key.startswith("$")), None):
        raise ValueError(f"{operator!r} has no field that it is about: write {{field: {{operator: value}}}}")
    check_contained(wanted)
    if _conditions(wanted, 1) > _MOST_CONDITIONS:
        raise ValueError(f"a filter has at most {_MOST_CONDITIONS} conditions")
    return wanted


def _conditions(wanted: Any, depth: int) -> int:
    """How many conditions it puts. Raises ValueError for what the store does not know."""
    if not isinstance(wanted, dict):
        return 1
    if depth > _DEEPEST_FILTER:
        raise ValueError(f"a filter is at most {_DEEPEST_FILTER} objects deep")
    if any(key.startswith("$") for key in wanted):
        for operator, value in wanted.items():
            _require_operator(operator, value)
        return len(wanted)
    return 1 + sum(_conditions(value, depth + 1) for value in wanted.values())


def _require_operator(operator: str, value: Any) -> None:
    if operator not in _EQUALITY | _ORDER:
        known = ", ".join(sorted(_EQUALITY | _ORDER))
        raise ValueError(f"there is no operator {operator!r}: use {known}")
    if operator in _ORDER and (isinstance(value, bool) or not isinstance(value, (str, int, float))):
        raise ValueError(f"{operator} takes a number or a text")


Label = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_label)]
Labels = Annotated[list[Label], Field(max_length=_MOST_LABELS)]
Namespace = Annotated[list[Label], Field(min_length=1, max_length=_MOST_LABELS)]
Index = Annotated[Literal[False] | list[str] | None, AfterValidator(_few_and_short)]
Value = Annotated[dict[str, Any], AfterValidator(_is_small)]
Filter = Annotated[dict[str, Any], AfterValidator(_is_a_filter)]
Minutes = Annotated[float, Field(strict=True, gt=0, le=2**31 - 1)]
Limit = Annotated[int, Field(ge=1, le=1000)]
Offset = Annotated[int, Field(ge=0, lt=2**63)]


class ItemAt(LangGraphBody):
    """Which item: its namespace and its key."""

    namespace: Namespace
    key: str = Field(min_length=1, max_length=_LONGEST_KEY)

    @model_validator(mode="after")
    def _fits(self) -> "ItemAt":
        if len(".".join([*self.namespace, self.key]).encode()) > _MOST_NAME_BYTES:
            raise ValueError(f"namespace and key have at most {_MOST_NAME_BYTES} bytes together: use shorter ones")
        return self


class ItemQuery(ItemAt):
    """Which item to get, from a query: the namespace's labels are joined by dots."""

    namespace: Annotated[Namespace, BeforeValidator(_split)]
    refresh_ttl: bool | None = None
    agent: Name | None = None


class ItemPut(ItemAt):
    """An item to keep."""

    namespace: Annotated[Namespace, AfterValidator(_outside_langgraph)]
    value: Value
    index: Index = None
    ttl: Minutes | None = None


class ItemSearch(LangGraphBody):
    """Which items to list."""

    namespace_prefix: Labels | None = None
    filter: Filter | None = None
    limit: Limit = 10
    offset: Offset = 0
    query: str | None = Field(default=None, max_length=10_000)
    refresh_ttl: bool | None = None

    @model_validator(mode="after")
    def _ranks_few(self) -> "ItemSearch":
        if self.query and self.offset + self.limit > _MOST_RANKED:
            raise ValueError(f"with a `query`, offset and limit are at most {_MOST_RANKED} together")
        return self


class NamespaceSearch(LangGraphBody):
    """Which namespaces to list; `*` stands for any one label."""

    prefix: Labels | None = None
    suffix: Labels | None = None
    #: So many of their first labels mean themselves also where they are `*`: an author's handler wrote them.
    literal_prefix: SkipJsonSchema[int] = Field(default=0, ge=0, le=_MOST_LABELS)
    literal_suffix: SkipJsonSchema[int] = Field(default=0, ge=0, le=_MOST_LABELS)
    max_depth: int | None = Field(default=None, ge=1, le=1000)
    limit: Limit = 100
    offset: Offset = 0


class Item(BaseModel):
    """What is kept under a key of a namespace."""

    model_config = things.example(
        namespace=["users", "ann"],
        key="address",
        value={"city": "Bremen"},
        created_at=things.BEGAN,
        updated_at=things.ENDED,
    )

    namespace: list[str]
    key: str
    value: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class FoundItem(Item):
    """An item that was found. `score`: how near it is to what was asked for, where that was said in words."""

    score: float | None


class FoundItems(BaseModel):
    """Items, the nearest or the newest first."""

    model_config = things.example(
        items=[
            {
                "namespace": ["users", "ann"],
                "key": "address",
                "value": {"city": "Bremen"},
                "created_at": things.BEGAN,
                "updated_at": things.ENDED,
                "score": None,
            }
        ]
    )

    items: list[FoundItem]


class Namespaces(BaseModel):
    """Namespaces, each as its labels."""

    model_config = things.example(namespaces=[["users", "ann"]])

    namespaces: list[list[str]]
