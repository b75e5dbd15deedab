"""Named substitution and nothing else: what is put in is never looked at again, so that no text can run anything."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from influence.environments.templates import TemplateError, fill, names_in

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
PLAIN = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), max_size=10)
PIECES = st.lists(st.tuples(st.sampled_from(["plain", "name", "{{", "}}"]), PLAIN, NAMES), max_size=8)


def template_of(pieces) -> str:
    return "".join({"plain": text, "name": f"{{{name}}}"}.get(sort, sort) for sort, text, name in pieces)


@settings(deadline=None)
@given(PIECES, st.text())
def test_a_template_is_its_pieces_with_the_names_replaced(pieces, value):
    values = {name: f"<{name}>{value}" for _, _, name in pieces}
    written = "".join({"plain": text, "name": values[name], "{{": "{", "}}": "}"}[sort] for sort, text, name in pieces)
    assert fill(template_of(pieces), values) == written


@settings(deadline=None)
@given(PIECES)
def test_the_names_of_a_template_are_what_filling_needs(pieces):
    template = template_of(pieces)
    names = names_in(template)
    assert names == {name for sort, _, name in pieces if sort == "name"}
    fill(template, dict.fromkeys(names, ""))
    for name in names:
        with pytest.raises(KeyError):
            fill(template, dict.fromkeys(names - {name}, ""))


@settings(deadline=None)
@given(st.text())
def test_what_is_put_in_is_never_looked_at_again(value):
    assert fill("{a}|{b}", {"a": value, "b": "{a}"}) == f"{value}|{{a}}"


@settings(deadline=None)
@given(st.text())
def test_a_text_with_its_braces_doubled_is_that_text(text):
    template = text.replace("{", "{{").replace("}", "}}")
    assert names_in(template) == set()
    assert fill(template, {}) == text


@pytest.mark.parametrize(
    "template",
    ["{", "}", "{Name}", "{a.b}", "{a[0]}", "{a!r}", "{0}", "{}", "{ a }", "{a:>9}", "{a}}", "a } b", "{_a}", "{é}"],
)
def test_a_stray_brace_is_an_error(template):
    with pytest.raises(TemplateError, match=r"a stray `[{}]` near `.*`\. Write `({{|}})` for a brace\."):
        names_in(template)


def test_the_message_shows_the_place_of_a_stray_brace():
    with pytest.raises(TemplateError) as raised:
        names_in("one two three four five\n{six seven eight nine ten")
    assert str(raised.value) == "a stray `{` near `hree four five {six seven eigh`. Write `{{` for a brace."
