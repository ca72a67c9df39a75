"""What the routes about the store answer with."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from relayrun_api.http import examples as things


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
