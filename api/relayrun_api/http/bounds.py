"""How large the objects of bodies may be: those that are kept with a thing, and those that things are searched by."""

from typing import Annotated, Any

import orjson
from pydantic import AfterValidator

from relayrun_core.db.rows import MAX_OBJECT_BYTES
from relayrun_core.metadata_filter import check_contained


def bounded(value: dict[str, Any]) -> dict[str, Any]:
    """The value. Raises ValueError when it is larger than what is kept with a thing may be."""
    if len(orjson.dumps(value)) > MAX_OBJECT_BYTES:
        raise ValueError(f"must be at most {MAX_OBJECT_BYTES} bytes of JSON")
    return value


def _searchable(value: dict[str, Any]) -> dict[str, Any]:
    check_contained(value)
    return value


#: Metadata, a context or a config: whoever lists the things that have it gets all of it.
Object = Annotated[dict[str, Any], AfterValidator(bounded)]
#: What the things that are searched for have to contain.
Contained = Annotated[dict[str, Any], AfterValidator(_searchable)]
