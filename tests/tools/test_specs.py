"""How tools are shown: four levels in words, each with everything of the one before, and the providers' native form."""

from __future__ import annotations

from itertools import pairwise

import jsonschema
import pytest
from emulating import FIXTURES
from hypothesis import given
from hypothesis import strategies as st

from influence.tools.loading import load_toolkit, toolkit_names
from influence.tools.schema import Shape
from influence.tools.specs import Detail, native_tools, tool_in_words, tools_in_words

LEVELS = [Detail.NAMES, Detail.SUMMARIES, Detail.ARGUMENTS, Detail.FULL]
DESK = load_toolkit(str(FIXTURES / "toolkits" / "desk.toml"))
READ, WRITE, PULL = DESK.file.tools

WORDS = {
    Detail.NAMES: ["- desk_read"],
    Detail.SUMMARIES: ["- desk_read: Read a note."],
    Detail.ARGUMENTS: ["- desk_read: Read a note.", "  arguments: id (string) Which note."],
    Detail.FULL: [
        "- desk_read: Read a note.",
        "  arguments: id (string) Which note.",
        "  returns: text (string) What stands on it.",
        "  may answer NoSuchNote: There is no note of this id.",
    ],
}


@pytest.mark.parametrize("detail", LEVELS)
def test_a_tool_in_words(detail):
    assert tool_in_words(READ, detail).splitlines() == WORDS[detail]


def test_ranges_choices_and_what_is_inside_are_told():
    line = next(line for line in tool_in_words(WRITE, Detail.ARGUMENTS).splitlines() if "arguments" in line)
    assert 'ink (string, optional, {"enum": ["blue", "red"]}) The ink.' in line
    assert '"size": {"type": "integer", "description": "How large.", "minimum": 1, "maximum": 3}' in line
    assert "arguments: none" in tool_in_words(PULL, Detail.ARGUMENTS)


def test_errors_that_are_injected_are_shown_to_nobody():
    everything = tools_in_words([DESK], Detail.FULL) + str(native_tools([DESK], Detail.FULL))
    assert "DrawerStuck" not in everything
    assert "NoInk" not in everything


@pytest.mark.parametrize("name", toolkit_names())
def test_each_level_contains_the_one_before(name):
    kit = load_toolkit(name)
    for tool in kit.file.tools:
        for less, more in pairwise(LEVELS):
            assert tool_in_words(tool, more).startswith(tool_in_words(tool, less))
            assert len(tool_in_words(tool, more)) > len(tool_in_words(tool, less))
    for less, more in pairwise(LEVELS):
        assert set(native_texts(kit, less)) == set(native_texts(kit, more)) == {tool.name for tool in kit.file.tools}
        assert all(native_texts(kit, more)[tool].startswith(text) for tool, text in native_texts(kit, less).items())


def native_texts(kit, detail: Detail) -> dict[str, str]:
    return {tool["function"]["name"]: tool["function"]["description"] for tool in native_tools([kit], detail)}


@pytest.mark.parametrize("name", toolkit_names())
def test_the_native_form_is_valid_and_has_the_arguments_at_every_level(name):
    kit = load_toolkit(name)
    forms = [native_tools([kit], detail) for detail in LEVELS]
    for tools in forms:
        for tool, spec in zip(tools, kit.file.tools, strict=True):
            assert tool["type"] == "function"
            schema = tool["function"]["parameters"]
            jsonschema.Draft202012Validator.check_schema(schema)
            assert list(schema["properties"]) == [part.name for part in spec.parameters]
            assert schema["required"] == [part.name for part in spec.parameters if part.required]
            assert schema["additionalProperties"] is False
    assert all(native_texts(kit, Detail.NAMES)[tool.name] == "" for tool in kit.file.tools)


def test_all_toolkits_of_a_case_are_shown_under_their_titles():
    bank = load_toolkit("bank")
    text = tools_in_words([DESK, bank], Detail.NAMES)
    assert text.startswith("Desk: Notes in the drawer of a desk.\n- desk_read\n- desk_write\n- desk_pull\n\n")
    assert text.count("- bank_") == len(bank.file.tools)
    names = [tool["function"]["name"] for tool in native_tools([DESK, bank], Detail.FULL)]
    assert names == [tool.name for kit in (DESK, bank) for tool in kit.file.tools]


SHAPES = st.deferred(
    lambda: st.one_of(
        st.sampled_from([Shape(type="string"), Shape(type="boolean"), Shape(type="integer", minimum=1.0), Shape(type="object")]),
        st.builds(lambda items: Shape(type="array", items=items), SHAPES),
        st.builds(lambda values: Shape(type="string", enum=values), st.lists(st.text(), max_size=3)),
    )
)


@given(SHAPES)
def test_every_shape_is_json_schema(shape):
    jsonschema.Draft202012Validator.check_schema(shape.json_schema())
