"""Strategic merge, as far as pod templates need it: maps are merged, lists by what names their entries. Pure."""

from typing import Any

#: By the name of the list: which field of its entries tells them apart. Lists that are not here are replaced.
_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
}


def merge(base: Any, patch: Any, name: str = "") -> Any:
    """`base` with `patch` laid over it; a null in the patch removes."""
    if isinstance(base, dict) and isinstance(patch, dict):
        return _merge_maps(base, patch)
    key = _MERGE_KEYS.get(name)
    if key and isinstance(base, list) and isinstance(patch, list):
        return _merge_lists(base, patch, key)
    return patch


def _merge_maps(base: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(base[name], value, name) if name in base else value
    return merged


def _merge_lists(base: list[Any], patch: list[Any], key: str) -> list[Any]:
    places = {entry.get(key): index for index, entry in enumerate(base)}
    merged = list(base)
    for entry in patch:
        place = places.get(entry.get(key)) if isinstance(entry, dict) else None
        if place is None:
            merged.append(entry)
        elif entry.get("$patch") == "delete":
            merged[place] = None
        else:
            merged[place] = merge(merged[place], entry)
    return [entry for entry in merged if entry is not None]
