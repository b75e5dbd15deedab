"""Model names: the one spelling by which every role says where its tokens come from.

`embedded` · `vllm/<hub id or folder>[:<adapter folder>]` · `scripted/<file>` · `openai/<model>` · `anthropic/<model>` ·
`openai-api/<name>/<model>`
"""

from __future__ import annotations

from dataclasses import dataclass
from os.path import expanduser
from typing import Annotated

from pydantic import AfterValidator

from influence.errors import nearest

SCHEMES = ("embedded", "vllm", "scripted", "openai", "anthropic", "openai-api")
LOCAL_SCHEMES = ("embedded", "vllm")
HOSTED_SCHEMES = ("openai", "anthropic", "openai-api")
SPELLINGS = "embedded, vllm/<hub id or folder>[:<adapter folder>], scripted/<file>, openai/<model>, anthropic/<model>, openai-api/<name>/<model>"


@dataclass(frozen=True, slots=True)
class ModelName:
    """A parsed name. `base` is the model without its adapter: roles with one scheme and base share an engine."""

    scheme: str
    base: str
    adapter: str | None = None


def parse_model_name(text: str) -> ModelName:
    """Raises ValueError with the allowed spellings."""
    scheme, _, rest = text.partition("/")
    if scheme.partition(":")[0] == "embedded":
        base, colon, adapter = text.partition(":")
        if base != "embedded" or (colon and not adapter):
            raise ValueError(f"{text!r} is no model name. Write `embedded`, or `embedded:<adapter folder>`.")
        return ModelName("embedded", "", adapter or None)
    if scheme not in SCHEMES:
        raise ValueError(f"{text!r} is no model name. {nearest(scheme, SCHEMES)}Allowed: {SPELLINGS}.")
    if not rest or (scheme == "openai-api" and not all(rest.partition("/")[::2])):
        raise ValueError(f"{text!r} is incomplete. Allowed: {SPELLINGS}.")
    if scheme == "vllm":
        base, _, adapter = rest.partition(":")
        if not base or rest.endswith(":"):
            raise ValueError(f"{text!r} is incomplete. Allowed: {SPELLINGS}.")
        return ModelName(scheme, expanduser(base), adapter or None)
    return ModelName(scheme, rest)


def _checked(text: str) -> str:
    parse_model_name(text)
    return text


ModelText = Annotated[str, AfterValidator(_checked)]
