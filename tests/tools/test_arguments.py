"""Arguments are checked in full before anybody is asked: every level of them, and everything that is no JSON."""

from __future__ import annotations

import json

import pytest
from emulating import FIXTURES
from hypothesis import example, given
from hypothesis import strategies as st

from influence.tools.arguments import DEEPEST, LONGEST, BadArgumentsError, check_whole, parsed_arguments
from influence.tools.loading import load_toolkit
from influence.tools.schema import Parameter, ToolSpec

WRITE = load_toolkit(str(FIXTURES / "toolkits" / "desk.toml")).file.tools[1]
NAMES = " Parameters of desk_write: id, lines, ink (optional)."


def parameter(name: str, kind: str) -> Parameter:
    return Parameter.model_validate({"name": name, "type": kind, "description": "A value.", "required": False})


LOOSE = ToolSpec(
    name="loose",
    description="Takes anything.",
    parameters=[parameter(f"a_{kind}", kind) for kind in ("string", "integer", "number", "boolean", "array", "object")],
)


@pytest.mark.parametrize(
    "given_",
    [
        {"id": "n1", "lines": []},
        {"id": "", "lines": [{"text": "a"}, {"text": "b", "size": 3}], "ink": "red"},
    ],
)
def test_what_fits_comes_back_as_it_was_written(given_):
    assert parsed_arguments(WRITE, json.dumps(given_)) == given_


@pytest.mark.parametrize("text", ["", "  \n"])
def test_nothing_at_all_means_no_arguments(text):
    assert parsed_arguments(LOOSE, text) == {}
    with pytest.raises(BadArgumentsError, match="'id' is a required property"):
        parsed_arguments(WRITE, text)


WRONG = {  # what the agent wrote -> where it is wrong, and what is said
    "a missing name": ('{"id": "n1"}', "'lines' is a required property."),
    "an unknown name": (
        '{"id": "n1", "lines": [], "color": 1}',
        "Additional properties are not allowed ('color' was unexpected).",
    ),
    "a number for a text": ('{"id": 1, "lines": []}', "`id`: 1 is not of type 'string'."),
    "a text for an array": ('{"id": "n1", "lines": "a"}', "`lines`: 'a' is not of type 'array'."),
    "null": ('{"id": null, "lines": []}', "`id`: None is not of type 'string'."),
    "an element of the wrong type": ('{"id": "n1", "lines": [{"text": "a"}, 7]}', "`lines.1`: 7 is not of type 'object'."),
    "a name missing within an element": ('{"id": "n1", "lines": [{"size": 1}]}', "`lines.0`: 'text' is a required property."),
    "an unknown name within an element": (
        '{"id": "n1", "lines": [{"text": "a", "sise": 1}]}',
        "`lines.0`: Additional properties are not allowed ('sise' was unexpected).",
    ),
    "a boolean for an integer": (
        '{"id": "n1", "lines": [{"text": "a", "size": true}]}',
        "`lines.0.size`: True is not of type 'integer'.",
    ),
    "a number in quotes": (
        '{"id": "n1", "lines": [{"text": "a", "size": "1"}]}',
        "`lines.0.size`: '1' is not of type 'integer'.",
    ),
    "a fraction": ('{"id": "n1", "lines": [{"text": "a", "size": 1.5}]}', "`lines.0.size`: 1.5 is not of type 'integer'."),
    "too much": ('{"id": "n1", "lines": [{"text": "a", "size": 4}]}', "`lines.0.size`: 4 is greater than the maximum of 3."),
    "too little": ('{"id": "n1", "lines": [{"text": "a", "size": 0}]}', "`lines.0.size`: 0 is less than the minimum of 1."),
    "not one of the allowed": ('{"id": "n1", "lines": [], "ink": "green"}', "`ink`: 'green' is not one of ['blue', 'red']."),
}


@pytest.mark.parametrize("name", WRONG)
def test_every_level_is_checked_and_the_place_is_named(name):
    text, message = WRONG[name]
    with pytest.raises(BadArgumentsError) as wrong:
        parsed_arguments(WRITE, text)
    assert str(wrong.value) == message + NAMES


@pytest.mark.parametrize(
    ("field", "value"), [("a_integer", "true"), ("a_number", "false"), ("a_boolean", "1"), ("a_boolean", "0")]
)
def test_a_boolean_is_no_number_and_no_number_a_boolean(field, value):
    with pytest.raises(BadArgumentsError, match="is not of type"):
        parsed_arguments(LOOSE, f'{{"{field}": {value}}}')


NO_JSON = {
    "words": ("please", "Expecting value"),
    "half an object": ('{"a_string": "x"', "Expecting ',' delimiter"),
    "single quotes": ("{'a_string': 'x'}", "Expecting property name"),
    "two objects": ("{} {}", "Extra data"),
    "a name twice": ('{"a_string": "x", "a_string": "y"}', "a name stands twice in one object"),
    "a name twice further in": ('{"a_object": {"b": 1, "b": 2}}', "a name stands twice in one object"),
    "NaN": ('{"a_number": NaN}', "NaN is no number in JSON"),
    "infinity": ('{"a_number": -Infinity}', "-Infinity is no number in JSON"),
    "a number that is infinite": ('{"a_number": 1e999}', "1e999 is too large"),
    "a number of a thousand digits": ('{"a_integer": ' + "9" * 1000 + "}", "a number has more than 30 digits"),
    "a number of more digits than Python reads": ('{"a_integer": ' + "9" * 9000 + "}", "a number has more than 30 digits"),
    "half a character": ('{"a_string": "\\ud83d"}', "a text has half a character (a lone surrogate)"),
    "half a character in a name": ('{"a_object": {"\\ud83d": 1}}', "a text has half a character (a lone surrogate)"),
    "deep nesting": ('{"a_array": ' + "[" * DEEPEST + "]" * DEEPEST + "}", f"it is nested deeper than {DEEPEST} levels"),
    "very deep nesting": ('{"a_array": ' + "[" * 9000 + "]" * 9000 + "}", f"it is nested deeper than {DEEPEST} levels"),
}


@pytest.mark.parametrize("name", NO_JSON)
def test_what_is_no_json_that_can_be_kept_is_refused(name):
    text, message = NO_JSON[name]
    with pytest.raises(BadArgumentsError) as wrong:
        parsed_arguments(LOOSE, text)
    assert str(wrong.value).startswith(f"the arguments are not JSON: {message}")
    assert len(str(wrong.value)) < 300


@pytest.mark.parametrize("text", ["[]", '"x"', "1", "null", "true", '[{"a_string": "x"}]'])
def test_json_that_is_no_object_is_refused(text):
    with pytest.raises(BadArgumentsError, match=r"^the arguments must be a JSON object"):
        parsed_arguments(LOOSE, text)


def test_the_limits_are_where_they_are_said_to_be():
    deep = '{"a_array": ' + "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1) + "}"
    assert parsed_arguments(LOOSE, deep).keys() == {"a_array"}
    assert parsed_arguments(LOOSE, '{"a_integer": ' + "9" * 30 + "}") == {"a_integer": 10**30 - 1}
    assert parsed_arguments(LOOSE, '{"a_string": "\\ud83d\\ude00"}') == {"a_string": "😀"}
    frame = len('{"a_string": ""}')
    longest = json.dumps({"a_string": "x" * (LONGEST - frame)})
    assert len(parsed_arguments(LOOSE, longest)["a_string"]) == LONGEST - frame
    with pytest.raises(BadArgumentsError) as wrong:
        parsed_arguments(LOOSE, longest + " ")
    assert str(wrong.value) == f"the arguments are {LONGEST + 1} characters long, more than {LONGEST}."


def test_a_long_value_is_not_thrown_back_in_full():
    with pytest.raises(BadArgumentsError) as wrong:
        parsed_arguments(WRITE, json.dumps({"id": ["x" * 5000], "lines": []}))
    assert len(str(wrong.value)) < 300


JSON_LIKE = st.text(alphabet='{}[]":,.0123456789eE+-truefalsn\\ud\n ', max_size=60)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "lines", "text", "a_object", "x"]), inner),
    max_leaves=12,
)


@given(st.text() | JSON_LIKE | DOCUMENTS.map(json.dumps))
@example("[" * 15_000)
@example('{"a":' * 3000)
def test_any_text_ends_in_arguments_or_in_words_that_can_be_kept(text):
    for tool in (WRITE, LOOSE):
        try:
            arguments = parsed_arguments(tool, text)
        except BadArgumentsError as error:
            refused = str(error)
            assert 0 < len(refused) < 600
        else:
            assert isinstance(arguments, dict)
            assert arguments.keys() <= {part.name for part in tool.parameters}
            check_whole(arguments)
            json.dumps(arguments, ensure_ascii=False, allow_nan=False).encode()
