import os
from dataclasses import dataclass, field, fields


@dataclass(kw_only=True)
class Context:
    user_id: str = "default"
    name: str = field(default="unset")

    def __post_init__(self) -> None:
        for one in fields(self):
            if getattr(self, one.name) == one.default:
                setattr(self, one.name, os.environ.get(f"MEMORY_{one.name.upper()}", one.default))
