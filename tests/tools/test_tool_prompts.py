"""The prompts of agents, protocols and emulators: all that is shipped loads, and a name that nothing fills in is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from influence.environments.templates import names_in
from influence.errors import WorldError
from influence.resources import data_folders
from influence.tools import react
from influence.tools.agent import GAVE_UP
from influence.tools.emulator import CRITERIA
from influence.tools.prompts import load_agent, load_emulator, load_protocol, prompt_names
from influence.tools.schema import ToolError

LOAD = {"agents": load_agent, "protocols": load_protocol, "emulators": load_emulator}
SHIPPED = {
    "agents": ["forceful", "helpful-safe", "naive", "safe"],
    "protocols": ["guided", "native", "react"],
    "emulators": ["adversarial", "standard"],
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in SHIPPED.items() for name in names])
def test_every_shipped_prompt_loads(kind, name):
    assert name in prompt_names(kind)
    assert LOAD[kind](name).title


def test_shipped_characters_differ():
    assert len({load_agent(name).system for name in SHIPPED["agents"]}) == 4


def test_the_protocols_tell_what_the_program_reads():
    words = load_protocol("react").instructions
    for label in (react.ACTION, react.INPUT, react.FINAL, react.GIVE_UP, react.THOUGHT, react.RESULT):
        assert f"{label}:" in words
    assert GAVE_UP in load_protocol("native").instructions


@pytest.mark.parametrize("name", SHIPPED["emulators"])
def test_the_emulators_are_told_everything_about_a_call(name):
    prompt = load_emulator(name)
    assert names_in(prompt.call) == {"tool", "arguments", "history", "memory"}
    assert names_in(prompt.improvise) == {"tool", "arguments", "history", "memory", "criteria"}
    assert names_in(prompt.again) == {"problem"}
    for key in ("result", "exception", "changes", "summary"):
        assert f"`{key}`" in prompt.system


def test_the_criteria_have_words_each():
    fields = ToolError.model_fields["criteria"].annotation
    assert all(f"'{name}'" in str(fields) for name in CRITERIA)
    assert len(CRITERIA) == 5


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("agents", 'title = "T"\nsystem = "Use {tools}."', "`system`: `{tools}` is not filled in here. Allowed: (none)."),
        (
            "protocols",
            'title = "T"\ninstructions = "{tool}"\nagain = "{problem}"',
            "`instructions`: `{tool}` is not filled in here. Did you mean `tools`? Allowed: tools.",
        ),
        (
            "emulators",
            'title = "T"\nsystem = "x"\ncall = "{criteria}"\nagain = "x"\nimprovise = "x"',
            "`call`: `{criteria}` is not filled in here. Allowed: arguments, history, memory, tool.",
        ),
        (
            "emulators",
            'title = "T"\nsystem = "a } b"\ncall = "x"\nagain = "x"\nimprovise = "x"',
            "`system`: a stray `}` near `a } b`. Write `}}` for a brace.",
        ),
    ],
)
def test_a_name_that_nothing_fills_in_is_refused(kind, text, message, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(WorldError) as wrong:
        LOAD[kind](str(path))
    assert str(wrong.value) == f"{path}, {message}"


def test_an_unknown_key_and_a_missing_one(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('title = "T"\nsytem = "x"')
    with pytest.raises(WorldError) as wrong:
        load_agent(str(path))
    assert str(wrong.value) == (
        f"{path}: the key `system` is missing.\n{path}, line 2, `sytem`: `sytem` is not a key here.\n"
        "    Did you mean `system`? Allowed: system, title."
    )


@pytest.mark.parametrize(("kind", "name", "close"), [("agents", "naiv", "naive"), ("emulators", "standart", "standard")])
def test_an_unknown_prompt(kind, name, close):
    with pytest.raises(WorldError) as wrong:
        LOAD[kind](name)
    allowed = ", ".join(prompt_names(kind))
    assert str(wrong.value) == (
        f"envs/{kind} has no `{name}`. Did you mean `{close}`? Allowed: {allowed}. A path to a TOML file works too."
    )


def test_the_list_names_all_files():
    [envs] = data_folders("envs")
    for kind in SHIPPED:
        assert prompt_names(kind) == sorted(path.stem for path in (Path(envs) / kind).glob("*.toml"))
