"""Headers of a request that starts a run, as its `configurable`: those that the agent's `http.configurable_headers`
names. Pure.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from relayrun_core.custom_routes import CustomHttp
from relayrun_core.loopback import HEADER as LOOPBACK
from relayrun_core.runs import RunSpec

Headers = Sequence[tuple[str, str]]

# What proves who calls is never told, whatever the pattern: a run's config is kept and shown.
_NEVER = frozenset(
    {"authorization", "cookie", "proxy-authorization", "x-api-key", "x-service-key", "x-tenant-id", LOOPBACK}
)
# A pattern's stars try a name's characters again and again.
_LONGEST_NAME = 256


def with_headers(spec: RunSpec, http: CustomHttp, headers: Headers) -> RunSpec:
    """The spec with these headers in its config, where they win over what the body says, as in the Agent Server."""
    if not http.header_includes:
        return spec
    told = {name: value for name, value in headers if _is_wanted(name, http)}
    if not told:
        return spec
    configurable = {**(spec.config.get("configurable") or {}), **told}
    return spec.model_copy(update={"config": {**spec.config, "configurable": configurable}})


def _is_wanted(name: str, http: CustomHttp) -> bool:
    if name in _NEVER or len(name) > _LONGEST_NAME:
        return False
    return bool(_pattern(http.header_includes).fullmatch(name) and not _pattern(http.header_excludes).fullmatch(name))


@lru_cache(maxsize=64)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """Any of the names, in which `*` stands for any text; none of none."""
    forms = [".*".join(re.escape(part) for part in re.split(r"\*+", name.lower())) for name in names]
    return re.compile("|".join(forms) if forms else r"(?!)")
