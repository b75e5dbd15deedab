"""Text with `{names}` in it. Named substitution and nothing else, so that no text can run anything.

A name is lower-case letters, digits and underscores; `{{` and `}}` stand for the braces themselves. What is put in is never
looked at again, so a `{name}` inside a model's words or a variable's value stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_PIECE = re.compile(r"\{\{|\}\}|\{([a-z][a-z0-9_]*)\}|[{}]")


class TemplateError(ValueError):
    """A brace that neither doubles nor encloses a name."""


def names_in(template: str) -> set[str]:
    """The names a template needs. Raises TemplateError at a stray brace."""
    names = set()
    for piece in _PIECE.finditer(template):
        if piece[1]:
            names.add(piece[1])
        elif piece[0] in "{}":
            near = " ".join(template[max(0, piece.start() - 15) : piece.start() + 15].split())
            raise TemplateError(f"a stray `{piece[0]}` near `{near}`. Write `{piece[0] * 2}` for a brace.")
    return names


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its names replaced. Raises KeyError for a name that `values` lacks."""
    if "{" not in template and "}" not in template:
        return template
    return _PIECE.sub(lambda piece: values[piece[1]] if piece[1] else piece[0][0], template)
