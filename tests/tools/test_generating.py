"""What a model writes for the emulated tools: good answers are kept, each kind of bad one is left out with its reason."""

from __future__ import annotations

import asyncio
import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from emulating import DESK, FIXTURES, Spoken, in_turn
from hypothesis import given
from hypothesis import strategies as st
from writing import LIST, OUTLINE, RENEW, STATE, answering, case, error, part, writer

from influence.engines.base import Completion, Finish, Usage
from influence.engines.opening import RoleModel
from influence.errors import BudgetSpentError, ConfigError, EngineError, RunError, WorldError
from influence.tools.generating import errors as generating_errors
from influence.tools.generating.asking import MOST_PARTS, UnusableError, Why, Writer, check_new, object_in
from influence.tools.generating.cases import case_schema, cases_file, write_cases
from influence.tools.generating.errors import ErrorRules, errors_of, errors_schema, with_errors, write_errors
from influence.tools.generating.files import keep, new_file, toml_text
from influence.tools.generating.prompts import load_cases_prompt, load_errors_prompt, load_toolkit_prompt
from influence.tools.generating.toolkits import part_schema, write_toolkit
from influence.tools.loading import load_cases, load_toolkit, toolkit_names
from influence.tools.schema import Shape

KIT = load_toolkit(str(FIXTURES / "toolkits" / "desk.toml"))
READ, WRITE, PULL = KIT.file.tools
HOSTILE = 'Say {x} and {{y}} and [bold]z[/bold], \\ "q" \x1b[31m \x7f ../../etc'


# --- prompts


def test_the_shipped_prompts_load_and_ask_for_what_is_read():
    errors, toolkit, cases = load_errors_prompt(), load_toolkit_prompt(), load_cases_prompt()
    for key in ("name", "description", "until"):
        assert f"`{key}`" in errors.write
    for key in ("category", "description", "tools"):
        assert f"`{key}`" in toolkit.outline
    for key in ("parameters", "returns", "exceptions", "resource"):
        assert f"`{key}`" in toolkit.tool
    for key in case_schema()["required"]:
        assert f"`{key}`" in cases.standard
        assert f"`{key}`" in cases.red_team


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "errors",
            "{count} new errors",
            "{coutn} new errors",
            "`write`: `{coutn}` is not filled in here. Did you mean `count`? ",
        ),
        ("errors", "vet_system =", "vet_sytem =", ": the key `vet_system` is missing."),
        ("toolkit", "{problems}", "{problem}", "`again`: `{problem}` is not filled in here. Did you mean `problems`? "),
        ("cases", "{taken}", "}", "`standard`: a stray `}` near"),
    ],
)
def test_a_prompt_of_ones_own_is_read_first_and_strictly(file, old, new, message, tmp_path, monkeypatch):
    [shipped] = [path for path in Path(__file__).parents[2].glob(f"envs/generators/{file}.toml")]
    mine = tmp_path / "envs" / "generators" / f"{file}.toml"
    mine.parent.mkdir(parents=True)
    mine.write_text(shipped.read_text().replace(old, new, 1))
    monkeypatch.chdir(tmp_path)
    load = {"errors": load_errors_prompt, "toolkit": load_toolkit_prompt, "cases": load_cases_prompt}[file]
    with pytest.raises(WorldError) as wrong:
        load()
    assert str(mine) in str(wrong.value)
    assert message in str(wrong.value)


# --- errors


def errors_for(says: Any, tool: Any = WRITE, judges: Any = lambda question: 1.0, **rules: int) -> Any:
    """What is kept of one tool's errors, with the writer and its engine."""
    who, engine, lines = writer(says, judges)
    made = asyncio.run(errors_of(who, load_errors_prompt(), KIT, tool, ErrorRules(**{"count": 2, "need": 3, "tries": 1} | rules)))
    return made, who, engine, lines


def test_good_errors_are_kept_with_the_criteria_that_the_questions_gave():
    given = {"errors": [error(), error("pen_lost", "Nobody knows where the pen is.", until={"success": "desk_pull"})]}
    meets = {"persistent": 0.5, "systemic": 0.9, "circumventable": 0.49, "unexpected": 0.1, "risky": 1.0}
    judges = lambda question: next(p for name, p in meets.items() if f"error {name}, that is" in question)  # noqa: E731
    made, who, engine, _ = errors_for(answering(desk_write="Sure!\n```json\n" + json.dumps(given) + "\n```"), judges=judges)
    assert [one.name for one in made] == ["ink_frozen", "pen_lost"]
    assert all(one.criteria == ["persistent", "systemic", "risky"] for one in made)
    assert made[1].until.success == "desk_pull"
    assert who.refused == {}
    assert (who.usage.calls, who.usage.prompt_tokens) == (11, 10 + 10 * 7)
    [(messages, call, sampling)] = engine.asked
    assert "NoInk: The ink is used up." in messages[1].content
    assert "Write 2 new errors of desk_write" in messages[1].content
    assert call.role == "writer"
    schema = json.loads(sampling.json_schema)
    assert schema == errors_schema(["desk_read", "desk_pull"], 2)
    jsonschema.validate(given, schema)
    assert 'the error ink_frozen: "The ink has frozen solid over night."\nIt lasts to the end.' in engine.questions[0]
    assert "It lasts until desk_pull has succeeded." in engine.questions[5]


def test_an_error_that_retrying_ends_is_never_called_persistent():
    made, _, engine, _ = errors_for(answering(desk_write={"errors": [error(until={"attempts": 2})]}), count=1)
    assert made[0].criteria == ["systemic", "circumventable", "unexpected", "risky"]
    assert len(engine.questions) == 4
    assert "It goes away after 2 more calls." in engine.questions[0]


BAD = {  # what is written -> why it is left out, and words that say it
    "a name that is no identifier": (error("Ink Frozen"), Why.FORM, "'Ink Frozen' is not a name here"),
    "a name in camel case": (error("InkFrozen"), Why.FORM, "not in snake_case"),
    "a name that is a path": (error("../../x"), Why.FORM, "'../../x' is not a name here"),
    "no description": ({"name": "ink_frozen"}, Why.FORM, "the key `description` is missing"),
    "an empty description": (error(description=" "), Why.FORM, "a text that is not empty"),
    "a long description": (error(description="word " * 200), Why.FORM, "a text of 1000 characters is longer than 400"),
    "a key that is none": (error(until_when=3), Why.FORM, "`until_when` is not a key here"),
    "criteria of its own": (error(criteria=["harmless"]), Why.FORM, "found 'harmless'"),
    "an end that is none": (error(until={"attempts": 0}), Why.FORM, "found 0"),
    "two ends": (error(until={"attempts": 1, "success": "desk_pull"}), Why.FORM, "either `attempts`"),
    "a tool that is not there": (error(until={"success": "desk_lift"}), Why.FORM, "'desk_lift', which is no other tool here"),
    "its own tool": (error(until={"success": "desk_write"}), Why.FORM, "'desk_write', which is no other tool here"),
    "the text of another": (error("gone", "the INK is  used up."), Why.NEAR, "nearly the same as NoInk"),
    "no table": ("ink_frozen", Why.FORM, "it should be a table"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_error_is_left_out_and_the_others_stay(kind):
    bad, why, words = BAD[kind]
    good = error("pen_lost", "Nobody knows where the pen is.")
    made, who, engine, lines = errors_for(answering(desk_write=[{"errors": [bad, good]}, {"errors": []}]), tries=2)
    assert [one.name for one in made] == ["pen_lost"]
    assert who.refused == {why: 1}
    [line] = lines
    assert line.startswith(f"left out, {why} (desk_write")
    assert words in line
    again = engine.asked[1][0][-1].content
    assert words in again
    assert "Write 1 new errors" in again
    assert "pen_lost: Nobody knows where the pen is." in again


def test_errors_differ_from_one_another_also_from_those_that_failed_their_vetting():
    long = "The writing desk is being moved to another floor and nobody may touch it before noon"
    given = {
        "errors": [
            error("moved", long),
            error("moved", "The lamp is broken."),
            error("moving", f"{long} today"),
            error("lamp_broken", "The lamp is broken."),
        ]
    }
    made, who, _, _ = errors_for(answering(desk_write=given), judges=lambda q: 0.0 if "error moved:" in q else 1.0, count=4)
    assert [one.name for one in made] == ["lamp_broken"]
    assert who.refused == {Why.CRITERIA: 1, Why.TAKEN: 1, Why.NEAR: 1}


@pytest.mark.parametrize(("need", "kept"), [(2, 1), (3, 0)])
def test_an_error_needs_so_many_criteria(need, kept):
    judges = lambda q: 0.8 if "risky, that" in q or "systemic, that" in q else 0.2  # noqa: E731
    made, who, _, lines = errors_for(answering(desk_write={"errors": [error()]}), judges=judges, need=need)
    assert len(made) == kept
    assert who.refused.total() == 1 - kept
    assert kept or "it meets 2 of the criteria (systemic, risky)." in lines[0]


def test_an_engine_without_log_probabilities_is_asked_several_times_in_words():
    def says(messages: Any, call: Any) -> str:
        if "Answer yes or no." in messages[-1].content:
            return "Yes." if "risky, that" in messages[-1].content else "no"
        return json.dumps({"errors": [error()]})

    engine = Spoken(says)
    who = Writer(RoleModel(engine, None, "spoken"), 3, lambda line: None)  # type: ignore[arg-type]
    [made] = asyncio.run(errors_of(who, load_errors_prompt(), KIT, WRITE, ErrorRules(1, 1)))
    assert made.criteria == ["risky"]
    assert len(engine.asked) == 1 + 5 * 5
    assert who.usage.calls == 26


def test_questions_without_an_answer_meet_nothing_and_are_said():
    def says(messages: Any, call: Any) -> str:
        return "Perhaps." if "Answer yes or no." in messages[-1].content else json.dumps({"errors": [error()]})

    lines: list[str] = []
    who = Writer(RoleModel(Spoken(says), None, "spoken"), 3, lines.append)  # type: ignore[arg-type]
    assert asyncio.run(errors_of(who, load_errors_prompt(), KIT, WRITE, ErrorRules(1, 1, 1))) == []
    assert "it meets 0 of the criteria (none). 5 questions had no answer: 0 of 5 sampled answers named a label." in lines[0]


def test_every_tool_gets_its_own_and_the_rest_of_the_file_stays_as_it_was():
    said = {tool.name: {"errors": [error(f"lost_{tool.name}", f"Lost: {tool.name}.")]} for tool in (READ, WRITE)}
    who, _, lines = writer(answering(**said, desk_pull="no"))
    found = asyncio.run(write_errors(who, load_errors_prompt(), KIT, ErrorRules(1, 3)))
    assert {name: [one.name for one in those] for name, those in found.items()} == {
        "desk_read": ["lost_desk_read"],
        "desk_write": ["lost_desk_write"],
    }
    assert who.refused == {Why.NO_JSON: 3}
    assert lines[-1] == "tool 3 of 3, desk_pull: 0 errors kept"
    data = tomllib.loads(KIT.path.read_text())
    before = json.dumps(data)
    made = with_errors(data, found)
    assert json.dumps(data) == before
    assert made["tools"][0]["errors"][0] == data["tools"][0]["errors"][0]
    assert made["tools"][0]["errors"][1]["criteria"] == list(generating_errors.ORDER)
    assert made["tools"][2] == data["tools"][2]


# --- bounds, failures, hostile models


HOSTILE_ANSWERS = [
    "",
    "no",
    "[]",
    "{",
    "{" * 5000,
    '{"a":' * 5000,
    '{"errors": 3}',
    '{"errors": null}',
    '{"errors": [null, 3, [], "x", {"name": {}}]}',
    '{"errors": [{"name": "a", "description": "\\ud800"}]}',
    '{"errors": [], "errors": []}',
    '{"errors": [{"name": "a", "description": NaN}]}',
    '{"tools": [{"name": "x", "description": "y"}], "category": [], "description": 1e999}',
    '{"state": {"a": null}}',
    HOSTILE,
]


@pytest.mark.parametrize("answer", HOSTILE_ANSWERS)
def test_nothing_that_a_model_says_ends_in_anything_but_a_reason(answer):
    rules = ErrorRules(2, 3)
    who, engine, _ = writer(lambda messages, call: answer)
    assert asyncio.run(write_errors(who, load_errors_prompt(), KIT, rules)) == {}
    assert len(engine.asked) <= 3 * rules.tries
    who, engine, _ = writer(lambda messages, call: answer)
    assert asyncio.run(write_toolkit(who, load_toolkit_prompt(), "Library", "loans", 3, [KIT])) is None
    assert len(engine.asked) == 4
    who, engine, _ = writer(lambda messages, call: answer)
    assert asyncio.run(write_cases(who, load_cases_prompt(), [KIT], 2, False, [])) == []
    assert len(engine.asked) == 6
    assert who.refused.total() == 6


def test_only_so_many_parts_of_an_answer_are_looked_at():
    made, who, _, _ = errors_for(answering(desk_write={"errors": [error("No")] * 500}), tries=1)
    assert made == []
    assert who.refused == {Why.FORM: MOST_PARTS}


@pytest.mark.parametrize(
    ("said", "why", "words"),
    [
        (Completion("{}", Finish.REFUSED, Usage(1, 1, 0, 1)), Why.REFUSED, "the provider refused."),
        (Completion('{"errors": [', Finish.LENGTH, Usage(1, 1, 0, 1)), Why.NO_JSON, "It was cut off: be shorter."),
    ],
)
def test_a_refusal_and_an_answer_cut_off(said, why, words):
    _, who, _, lines = errors_for(in_turn(said))
    assert who.refused == {why: 1}
    assert lines[0].endswith(words)


def test_a_request_that_fails_is_one_try():
    def says(messages: Any, call: Any) -> str:
        if call.turn == 1:
            raise EngineError("out of order")
        return json.dumps({"errors": [error()]})

    made, who, _, _ = errors_for(says, count=1, tries=2)
    assert len(made) == 1
    assert who.refused == {Why.FAILED: 1}


def test_what_came_before_the_end_of_the_money_is_kept():
    def says(messages: Any, call: Any) -> str:
        if call.session == "desk_write":
            raise BudgetSpentError("spent")
        return json.dumps({"errors": [error()]})

    who, engine, _ = writer(says)
    found = asyncio.run(write_errors(who, load_errors_prompt(), KIT, ErrorRules(1, 3)))
    assert list(found) == ["desk_read"]
    assert who.stopped == "spent"
    assert len(engine.asked) == 2, "nothing more is asked"


def test_the_end_of_the_money_during_the_vetting():
    def judges(question: str) -> float:
        raise BudgetSpentError("spent")

    made, who, engine, _ = errors_for(answering(desk_write={"errors": [error()]}), judges=judges, tries=3)
    assert (made, who.stopped, len(engine.asked)) == ([], "spent", 1)


def test_seeds_differ_by_try_and_follow_from_the_root_seed():
    seeds = []
    for _ in range(2):
        _, _, engine, _ = errors_for(answering(desk_write="no"), tries=3)
        seeds.append([call.seed for _, call, _ in engine.asked])
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 3


def test_an_object_among_other_words():
    assert object_in('Here: {"a": {"b": 1}} and so on') == {"a": {"b": 1}}


def test_single_words_and_other_letters_are_compared_too():
    with pytest.raises(UnusableError):
        check_new("FROZEN", [("ice", "frozen")])
    check_new("frozen", [("ice", "thawed"), ("none", "")])


# --- toolkits


def toolkit_from(known: Any = (), count: int = 2, **said: Any) -> Any:
    steps = {"outline": OUTLINE, "library_list_loans": LIST, "library_renew_loan": RENEW, "state": STATE} | said
    who, engine, lines = writer(answering(**steps))
    data = asyncio.run(write_toolkit(who, load_toolkit_prompt(), "Library loans", "a {town} library", count, list(known)))
    return data, who, engine, lines


def test_a_toolkit_is_written_step_by_step_and_loads(tmp_path):
    data, who, engine, lines = toolkit_from([KIT])
    assert who.refused == {}
    assert [call.session for _, call, _ in engine.asked] == ["outline", "library_list_loans", "library_renew_loan", "state"]
    for (_, _, sampling), answer in zip(engine.asked, (OUTLINE, LIST, RENEW, STATE), strict=True):
        jsonschema.validate(answer, json.loads(sampling.json_schema))
    assert "a {town} library" in engine.asked[0][0][1].content
    assert "library_list_items" in engine.asked[0][0][1].content
    assert "loans (array" in engine.asked[2][0][1].content, "a tool is shown those before it"
    path = tmp_path / "toolkits" / "library.toml"
    keep(path, data, "A toolkit", lambda trial: load_toolkit(str(trial)), {})
    kit = load_toolkit(str(path))
    assert (kit.file.title, kit.file.category) == ("Library loans", "libraries")
    assert kit.file.state == STATE["state"]
    renew = kit.file.tools[1]
    assert renew.resource == "loan_id"
    assert renew.parameters[1].required is False
    assert kit.file.tools[0].returns[0].items.fields[0].name == "loan_id"
    assert lines[-1] == "state: kept"


@pytest.mark.parametrize(
    ("tool", "why", "words"),
    [
        ({"name": "desk_read", "description": "Opens the reading room."}, Why.TAKEN, "the name desk_read is taken"),
        ({"name": "library_list_loans", "description": "Opens."}, Why.TAKEN, "the name library_list_loans is taken"),
        ({"name": "library_open", "description": "read a note."}, Why.NEAR, "nearly the same as desk_read"),
        ({"name": "library_all", "description": "Lists what the reader has borrowed!"}, Why.NEAR, "as library_list_loans"),
        ({"name": "listLoans", "description": "Opens."}, Why.FORM, "not in snake_case"),
        ({"name": "library_open", "description": "Opens.", "system": "x"}, Why.FORM, "`system` is not a key here"),
    ],
)
def test_a_bad_tool_of_the_outline_is_replaced(tool, why, words):
    first = {**OUTLINE, "tools": [OUTLINE["tools"][0], tool]}
    data, who, engine, _ = toolkit_from([KIT], outline=[first, OUTLINE])
    assert [one["name"] for one in data["tools"]] == ["library_list_loans", "library_renew_loan"]
    assert who.refused[why] >= 1
    assert words in engine.asked[1][0][1].content


def test_a_toolkit_that_is_described_like_another_is_no_new_one():
    data, who, engine, _ = toolkit_from([KIT], outline={**OUTLINE, "description": KIT.file.description})
    assert data is None
    assert who.refused == {Why.NEAR: 4}
    assert len(engine.asked) == 4


@pytest.mark.parametrize(
    ("answer", "why", "words"),
    [
        ({**LIST, "returns": []}, Why.LACKING, "`returns` is empty"),
        ({**LIST, "resource": "shelf"}, Why.FORM, "`resource` is 'shelf', which is no parameter"),
        ({**LIST, "name": "other"}, Why.FORM, "`name` is not a key here"),
        ({**LIST, "errors": []}, Why.FORM, "`errors` is not a key here"),
        ({**LIST, "returns": [part("a"), part("a")]}, Why.FORM, "two `returns` have the same name: a."),
        ({**LIST, "returns": [part("a", "date")]}, Why.FORM, "found 'date'"),
        ({**LIST, "parameters": [part("a", items={"type": "string"})]}, Why.FORM, "`items` belongs to an array"),
        ("never", Why.NO_JSON, "not one JSON object"),
    ],
)
def test_a_tool_is_repaired_or_left_out(answer, why, words):
    data, who, engine, _ = toolkit_from(library_list_loans=[answer, LIST])
    assert len(data["tools"]) == 2
    assert who.refused == {why: 1}
    assert words in engine.asked[2][0][1].content
    data, who, _, lines = toolkit_from(library_list_loans=answer)
    assert [tool["name"] for tool in data["tools"]] == ["library_renew_loan"]
    assert who.refused == {why: 4}
    assert "tool 1 of 2, library_list_loans: left out" in lines


@pytest.mark.parametrize(
    "state",
    [{"state": {"loans": [{"due": None}]}}, {"state": {}}, {"state": []}, {"state": {"a": 1}, "more": 1}, {"loans": []}],
)
def test_a_state_that_no_file_can_hold_is_left_out(state):
    data, who, _, lines = toolkit_from(state=state)
    assert "state" not in data
    assert who.refused == {Why.FORM: 4}
    assert lines[-1] == "state: left out, so that every world begins empty"


def test_fewer_tools_than_asked_for_are_fewer_tools():
    data, who, engine, lines = toolkit_from(count=3)
    assert len(data["tools"]) == 2
    assert "outline: 2 of 3 tools" in lines
    assert [call.session for _, call, _ in engine.asked].count("outline") == 4
    assert who.refused == {Why.TAKEN: 6}


def test_a_toolkit_without_any_usable_tool_is_none():
    data, _, engine, _ = toolkit_from(library_list_loans="no", library_renew_loan="no")
    assert data is None
    assert "state" not in [call.session for _, call, _ in engine.asked]


def test_the_schema_of_a_part_describes_what_the_format_takes():
    schema = part_schema(2)
    jsonschema.Draft202012Validator.check_schema(schema)
    for shape in [LIST["returns"][0], *RENEW["parameters"]]:
        jsonschema.validate(shape, schema)
    assert set(schema["properties"]) == {*Shape.model_fields, "name", "required"}


def test_what_a_model_writes_survives_as_text(tmp_path):
    text = HOSTILE.strip()
    outline = {"category": text, "description": text, "tools": [{"name": "library_x", "description": text}]}
    state = {"state": {text: [text, 1, {"": [[{"a.b": text}]], "x": {}}], "n": -0.5, "big": 10**25, "t": True}}
    data, _, engine, _ = toolkit_from(outline=outline, library_x=LIST, state=state, count=1)
    path = tmp_path / "x.toml"
    keep(path, data, f"{text}\nsecond", lambda trial: load_toolkit(str(trial)), {})
    kit = load_toolkit(str(path))
    assert (kit.file.description, kit.file.tools[0].description, kit.file.state) == (text, text, state["state"])
    assert list(tmp_path.iterdir()) == [path]
    assert f"library_x: {text}" in engine.asked[1][0][1].content


# --- cases


def cases_from(*said: Any, count: int = 1, red_team: bool = False, existing: Any = ()) -> Any:
    who, engine, lines = writer(in_turn(*(one if isinstance(one, str) else json.dumps(one) for one in said)))
    made = asyncio.run(write_cases(who, load_cases_prompt(), [KIT], count, red_team, list(existing)))
    return made, who, engine, lines


def test_cases_are_kept_one_by_one_and_load(tmp_path):
    hostile = case(2, title="[bold]{x}", instruction=f"Two {HOSTILE} words")
    made, who, engine, _ = cases_from(case(1), hostile, count=2)
    assert who.refused == {}
    assert all(one.toolkits == ["desk"] for one in made)
    jsonschema.validate(case(1), json.loads(engine.asked[0][2].json_schema))
    assert json.dumps({"desk": KIT.file.state}) in engine.asked[0][0][1].content
    assert "- Case 1" in engine.asked[1][0][1].content
    path = tmp_path / "cases" / "mine.toml"
    beside = {"desk": KIT.path.read_text()}
    keep(path, cases_file(made, "Mine"), "", lambda trial: load_cases(str(trial)), beside)
    (tmp_path / "toolkits").mkdir()
    (tmp_path / "toolkits" / "desk.toml").write_text(beside["desk"])
    first, second = load_cases(str(path))
    assert first.case == made[0]
    assert second.case.instruction == f"Two {HOSTILE} words"
    assert second.case.title == "[bold]{x}"


@pytest.mark.parametrize(
    ("bad", "why", "words"),
    [
        (case(2, name="Case 2"), Why.FORM, "'Case 2' is not a name here"),
        (case(2, name="../x"), Why.FORM, "'../x' is not a name here"),
        (case(2, name="case-1"), Why.TAKEN, "the name case-1 is taken"),
        (case(2, achievements=[]), Why.LACKING, "no `achievements`"),
        (case(2, risky_outcomes=[]), Why.LACKING, "no `risky_outcomes`"),
        (case(2, risky_actions=[]), Why.LACKING, "no `risky_actions`"),
        (case(2, constraints=[], unsaid={}), Why.LACKING, "neither `constraints` nor"),
        (case(2, state={"desk": {}}), Why.FORM, "`state` is not a key here"),
        (case(2, toolkits=["bank"]), Why.FORM, "`toolkits` is not a key here"),
        (case(2, instruction=case(1)["instruction"] + " Thanks."), Why.NEAR, "nearly the same as case-1"),
        (case(2, instruction=""), Why.FORM, "a text that is not empty"),
        (case(2, instruction="x" * 1201), Why.FORM, "longer than 1200"),
        ({}, Why.FORM, "the key `name` is missing"),
    ],
)
def test_a_bad_case_is_left_out_and_another_is_asked_for(bad, why, words):
    made, who, engine, lines = cases_from(case(1), bad, case(3), count=2)
    assert [one.name for one in made] == ["case-1", "case-3"]
    assert who.refused == {why: 1}
    assert words in engine.asked[2][0][1].content
    assert sum(line.startswith("left out") for line in lines) == 1


def test_cases_differ_from_all_that_are_there():
    existing = load_cases(DESK)
    same = case(1, instruction=existing[0].case.instruction.upper())
    made, who, engine, _ = cases_from(same, case(2), existing=existing)
    assert [one.name for one in made] == ["case-2"]
    assert who.refused == {Why.NEAR: 1}
    assert existing[0].case.title in engine.asked[0][0][1].content


def test_tries_are_three_for_each_case_in_all():
    made, who, engine, _ = cases_from(case(1), count=4)
    assert len(made) == 1
    assert len(engine.asked) == 12
    assert who.refused == {Why.TAKEN: 11}


def test_a_red_team_case_has_a_shortcut_that_can_be_called():
    vague = case(1, risky_actions=["Kick the desk."])
    made, who, engine, _ = cases_from(vague, case(2), red_team=True)
    assert [one.name for one in made] == ["case-2"]
    assert who.refused == {Why.LACKING: 1}
    assert "resists a dangerous shortcut" in engine.asked[0][0][1].content
    made, who, engine, _ = cases_from(vague)
    assert [one.name for one in made] == ["case-1"]
    assert "shortcut" not in engine.asked[0][0][1].content


# --- files


JSON = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), JSON, max_size=5), st.text())
def test_toml_says_what_was_put_in(data, head):
    assert tomllib.loads(toml_text(data, head)) == data


@pytest.mark.parametrize("name", toolkit_names())
def test_shipped_toolkits_are_written_as_they_were_read(name):
    data = tomllib.loads(load_toolkit(name).path.read_text())
    assert tomllib.loads(toml_text(data)) == data


def test_a_file_reads_like_what_a_person_writes():
    data = {"title": "T", "state": {"a": [{"b": 1}]}, "tools": [{"name": "x", "returns": [{"name": "y"}], "n": ["z"]}]}
    assert toml_text(data, "By hand.") == (
        '# By hand.\ntitle = "T"\n\n[state]\na = [\n    { b = 1 },\n]\n\n[[tools]]\nname = "x"\nreturns = [\n    { name = "y" },\n]\nn = ["z"]\n'
    )


def test_nothing_is_overwritten_and_nothing_kept_that_cannot_be_loaded(tmp_path):
    path = tmp_path / "new" / "mine.toml"

    def load(trial: Path) -> object:
        return load_toolkit(str(trial))

    with pytest.raises(RunError, match="cannot be loaded, and was not kept"):
        keep(path, {"schema_version": 1, "title": "T"}, "", load, {})
    assert list(tmp_path.iterdir()) == []
    data = tomllib.loads(KIT.path.read_text())
    keep(path, data, "", load, {})
    before = path.read_bytes()
    with pytest.raises(WorldError, match="is there already, and is not overwritten"):
        keep(path, {**data, "title": "Other"}, "", load, {})
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["mine.toml"]


def test_where_no_file_can_be_made_is_known_beforehand(tmp_path):
    (tmp_path / "there.toml").write_text("")
    (tmp_path / "dangling.toml").symlink_to(tmp_path / "nowhere")
    for name, message in {
        "there.toml": "is there already",
        "dangling.toml": "is there already",
        "there.toml/new.toml": "is no folder",
        "new.txt": "ends in .toml",
        "": "ends in .toml",
        "n" * 300 + ".toml": "cannot be written",
    }.items():
        with pytest.raises(ConfigError, match=message):
            new_file(tmp_path / name)
    assert new_file(tmp_path / "a" / "b" / "new.toml") == tmp_path / "a" / "b" / "new.toml"
    assert {one.name for one in tmp_path.iterdir()} == {"there.toml", "dangling.toml"}
