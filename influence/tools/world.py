"""The emulated world: a JSON document that an emulator reads and changes, so that later answers agree with earlier ones.

A change is a JSON patch (RFC 6902) of additions, replacements and removals. It is applied to a copy, whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import jsonpatch

from influence.tools.arguments import check_whole

OPERATIONS = ("add", "replace", "remove")
MOST_CHANGES = 20
LARGEST = 40_000  # characters of the whole document

PATCH_SCHEMA: dict[str, Any] = {
    "type": "array",
    "maxItems": MOST_CHANGES,
    "items": {
        "type": "object",
        "properties": {"op": {"enum": list(OPERATIONS)}, "path": {"type": "string", "pattern": "^(/[^/]*)+$"}, "value": {}},
        "required": ["op", "path"],
    },
}


class BadPatchError(Exception):
    """Changes that cannot be made. The text says which and why, for the emulator to read."""


def patched(state: dict[str, Any], changes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The state after the changes; the one given is left as it is. Raises BadPatchError."""
    if len(changes) > MOST_CHANGES:
        raise BadPatchError(f"{len(changes)} changes at once, more than {MOST_CHANGES}.")
    for change in changes:
        if change.get("op") not in OPERATIONS:
            raise BadPatchError(f"`op` is {change.get('op')!r}. Allowed: {', '.join(OPERATIONS)}.")
        if change["op"] != "remove" and "value" not in change:
            raise BadPatchError(f"the change at {change.get('path')!r} has no `value`.")
        if not str(change.get("path", "")).startswith("/"):
            raise BadPatchError(f"`path` is {change.get('path')!r}; a path begins with `/` and a key of the state.")
    try:
        after = jsonpatch.apply_patch(state, list(changes), in_place=False)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, ValueError, RecursionError) as error:
        raise BadPatchError(f"the changes do not fit the state: {str(error)[:200]}.") from None
    if not isinstance(after, dict):
        raise BadPatchError("the changes would replace the whole state.")
    try:
        check_whole(after)
    except ValueError as error:
        raise BadPatchError(f"the state cannot be kept so: {error}.") from None
    if len(json.dumps(after)) > LARGEST:
        raise BadPatchError(f"the state would grow past {LARGEST} characters.")
    return after


def digest(state: dict[str, Any]) -> str:
    """SHA-256 over the state, the same for equal states whatever the order of their keys."""
    return sha256(json.dumps(state, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
