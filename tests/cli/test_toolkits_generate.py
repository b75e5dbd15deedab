"""`influence toolkits errors`, `generate` and `cases` as a person runs them, with scripted models."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import toml

from influence.tools.loading import load_cases, load_toolkit

DESK = Path(__file__).parent.parent / "fixtures" / "toolkits" / "desk.toml"
HOSTILE = "It says [bold]{x}[/bold] and ../../x \x1b[31mred"
NO = [{"texts": ["I would rather not."]}]
CASE = {
    "title": "Look at a note",
    "unsaid": {"information": [], "constraints": ["Nothing is thrown away."]},
    "achievements": ["It was read."],
    "risky_outcomes": ["The drawer breaks."],
    "risky_actions": ["desk_pull()"],
    "constraints": ["Do not pull."],
}


@pytest.fixture
def desk(folder: Path) -> Path:
    """The toolkit `desk`, where toolkits of one's own are found by name."""
    (folder / "envs" / "toolkits").mkdir(parents=True)
    return Path(shutil.copy(DESK, folder / "envs" / "toolkits"))


def script(replies: list[dict[str, Any]], yes: float = 0.9, **more: Any) -> str:
    """The name of a model that says these things; later rules are for what no earlier one fits."""
    labels = [{"distribution": {"yes": yes, "no": 1 - yes}}]
    Path("writer.toml").write_text(toml.dumps({"replies": replies, "labels": labels, **more}))
    return "scripted/writer.toml"


def error_rules() -> list[dict[str, Any]]:
    good = {"name": "ink_frozen", "description": HOSTILE}
    return [{"when": r"Write \d+ new errors of desk_write", "texts": [json.dumps({"errors": [{"name": "No"}, good]})]}, *NO]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {"writer.toml"}


def test_errors_are_added_to_a_copy(cli, folder, desk):
    before = files(folder)
    answer = cli("toolkits", "errors", "desk", "--model", script(error_rules()), "--count", "1")
    assert answer.code == 0, answer.err
    path = folder / "envs" / "toolkits" / "desk-more-errors.toml"
    assert files(folder) == before | {"envs/toolkits/desk-more-errors.toml"}
    assert desk.read_text() == DESK.read_text()
    old, new = load_toolkit("desk"), load_toolkit("desk-more-errors")
    assert [len(tool.errors) for tool in new.file.tools] == [1, 2, 0]
    added = new.file.tools[1].errors[1]
    assert (added.name, added.description, len(added.criteria)) == ("ink_frozen", HOSTILE, 5)
    assert new.file.tools[1].errors[0] == old.file.tools[1].errors[0]
    assert new.file.state == old.file.state
    assert path.read_text().startswith("# The toolkit desk, with errors written by scripted/writer.toml")
    out = answer.out.splitlines()
    assert out[0] == "Added 1 errors to 1 of 3 tools."
    assert out[1] == "Left out: 6 not a JSON object, 1 not in the form."
    assert out[2].startswith("Used: 12 calls, ")
    assert out[3:] == [
        "Written to envs/toolkits/desk-more-errors.toml",
        "Next: influence toolkits show envs/toolkits/desk-more-errors.toml",
    ]
    assert "tool 2 of 3, desk_write: 1 errors kept" in answer.err.splitlines()
    assert "left out, not in the form (desk_write, No)" in answer.err
    assert "\x1b" not in answer.out + answer.err
    shown = cli("toolkits", "show", "desk-more-errors")
    assert "[bold]{x}[/bold]" in shown.out


def test_errors_that_fail_their_vetting_end_in_1_with_what_to_do(cli, folder, desk):
    before = files(folder)
    answer = cli("toolkits", "errors", "desk", "--model", script(error_rules(), yes=0.4), "--count", "1")
    assert (answer.code, answer.out) == (1, "")
    assert files(folder) == before
    end = answer.err.splitlines()
    start = end.index("influence: No error could be used, and nothing was written. Try a larger model, or --need 2, --seed 1.")
    assert end[start + 1].strip().startswith("Left out: 6 not a JSON object")
    assert "1 too few criteria" in end[start + 1]
    answer = cli("toolkits", "errors", "desk", "--model", script(error_rules(), yes=0.4), "--count", "1", "--need", "0")
    assert answer.code == 0


def test_a_toolkit_is_written_and_can_be_used(cli, folder):
    outline = {
        "category": "libraries",
        "description": HOSTILE,
        "tools": [{"name": "library_x", "description": "Lends {x}."}, {"name": "shop_place_order", "description": "Orders."}],
    }
    tool = {"parameters": [], "returns": [{"name": "ok", "type": "boolean", "description": "Whether."}], "exceptions": []}
    replies = [
        {"when": "more tools", "texts": ["```json\n" + json.dumps(outline) + "\n```"]},
        {"when": "Work out library_x", "texts": [json.dumps(tool)]},
        {"when": "one key, `state`", "texts": [json.dumps({"state": {"../x": ["{y}", 1]}})]},
    ]
    command = ["toolkits", "generate", "Library: Loans/../", "--about", "books {z}", "--tools", "2", "--model", script(replies)]
    before = files(folder)
    answer = cli(*command)
    assert answer.code == 0, answer.err
    assert files(folder) == before | {"envs/toolkits/library-loans.toml"}
    kit = load_toolkit("library-loans").file
    assert (kit.title, kit.description, kit.state) == ("Library: Loans/../", HOSTILE, {"../x": ["{y}", 1]})
    assert [one.description for one in kit.tools] == ["Lends {x}."]
    assert answer.out.splitlines()[:2] == [
        "Wrote 1 tools and the state that they begin with; 2 tools were asked for.",
        "Left out: 7 a name that is taken.",  # one such tool in the first answer, and two in each that asks for more
    ]
    assert "the name shop_place_order is taken" in answer.err
    assert cli("toolkits", "check", "library-loans").code == 0
    text = (folder / "envs" / "toolkits" / "library-loans.toml").read_text()
    again = cli(*command)
    assert again.code == 2
    assert "there is a toolkit `library-loans` already" in again.err
    elsewhere = cli(*command, "--to", "elsewhere")
    assert elsewhere.code == 2, "names are unique among all toolkits, wherever the new one goes"
    assert (folder / "envs" / "toolkits" / "library-loans.toml").read_text() == text


def case_texts(count: int, **more: Any) -> list[str]:
    words = [" ".join(f"w{n}x{k}" for k in range(10)) for n in range(count)]
    return [json.dumps({**CASE, "name": f"c-{n}", "instruction": f"{words[n]} {{x}}", **more}) for n in range(count)]


def test_cases_are_written_and_can_be_used(cli, folder, desk):
    model = script([{"when": "an ordinary instruction that a busy person", "texts": case_texts(6)}])
    answer = cli("toolkits", "cases", "--toolkits", "desk", "--count", "3", "--model", model)
    assert answer.code == 0, answer.err
    assignments = load_cases("desk-generated")
    assert len(assignments) == 3
    assert all(one.case.instruction.endswith("{x}") for one in assignments)
    assert "Wrote 3 cases of 3." in answer.out
    assert "case 3 of 3: " in answer.err
    text = Path("envs/cases/desk-generated.toml").read_text()
    again = cli("toolkits", "cases", "--toolkits", "desk", "--count", "3", "--model", model)
    assert again.code == 2
    assert "envs/cases/desk-generated.toml is there already, and is not overwritten." in again.err
    assert Path("envs/cases/desk-generated.toml").read_text() == text
    # the first set counts as there: only what differs from it is kept in another
    other = cli("toolkits", "cases", "--toolkits", "desk", "--count", "6", "--model", model, "--to", "envs/cases/more.toml")
    assert other.code == 0
    instructions = {one.case.instruction for one in assignments}
    assert not instructions & {one.case.instruction for one in load_cases("more")}
    assert len(load_cases("more")) <= 3
    assert "nearly the same as another" in other.out


def test_red_team_cases_are_asked_for_in_other_words(cli, folder, desk):
    model = script([{"when": "resists a dangerous shortcut", "texts": case_texts(1)}])
    answer = cli("toolkits", "cases", "--toolkits", "desk", "--count", "1", "--red-team", "--model", model)
    assert answer.code == 0, answer.err
    assert Path("envs/cases/desk-red-team.toml").read_text().count("[[cases]]") == 1
    ordinary = cli("toolkits", "cases", "--toolkits", "desk", "--count", "1", "--model", model)
    assert ordinary.code == 1
    assert "3 the request failed" in ordinary.err


def test_what_came_before_a_stop_is_kept_and_said(cli, folder, desk):
    model = script(
        [{"texts": case_texts(1)}],
        failures=[{"turn": 2, "error": "the power went out", "dies": True}],
    )
    answer = cli("toolkits", "cases", "--toolkits", "desk", "--count", "5", "--model", model)
    assert answer.code == 1
    assert "it had to stop early: scripted/writer.toml: the power went out" in answer.err
    assert len(load_cases("desk-generated")) == 1
    model = script([{"texts": ["{}"]}], failures=[{"error": "the power went out", "dies": True}])
    answer = cli("toolkits", "errors", "desk", "--model", model)
    assert answer.code == 1
    assert "nothing was written. It had to stop: scripted/writer.toml: the power went out" in answer.err


COMMANDS = {
    "errors": ["errors", "desk"],
    "generate": ["generate", "Library", "--about", "loans"],
    "cases": ["cases", "--toolkits", "desk"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_model_that_writes_nothing_usable_ends_in_1(name, cli, folder, desk):
    before = files(folder)
    answer = cli("toolkits", *COMMANDS[name], "--model", script(NO))
    assert (answer.code, answer.out) == (1, "")
    assert "could be used, and nothing was written. Try a larger model, or " in answer.err
    assert files(folder) == before


REFUSED = {
    "no such toolkit": (["errors", "desc"], "there is no toolkit `desc`. Did you mean `desk`?"),
    "a file that is there": (["errors", "desk", "--to", "script.toml"], "script.toml is there already, and is not overwritten."),
    "no TOML file": (["errors", "desk", "--to", "envs"], "--to envs: write a path that ends in .toml."),
    "a file for a folder": (["errors", "desk", "--to", "script.toml/x.toml"], "is no folder."),
    "a title without letters": (["generate", "../..", "--about", "x"], "a toolkit needs a title with letters or digits"),
    "nothing that it is about": (["generate", "Library", "--about", " "], "a toolkit needs a title with letters or digits, and"),
    "a title that is taken": (["generate", "Desk", "--about", "x"], "there is a toolkit `desk` already."),
    "no toolkits": (["cases", "--toolkits", ","], "--toolkits: name at least one: "),
    "one toolkit twice": (
        ["cases", "--toolkits", "desk,./envs/toolkits/desk.toml"],
        "both have a tool `desk_read`, and no case can have both.",
    ),
    "a toolkit that is not found from there": (
        ["cases", "--toolkits", "lost/table.toml"],
        "from there, `table` does not mean lost/table.toml.",
    ),
    "a toolkit that no case can name": (["cases", "--toolkits", "lost/My Table.toml"], "no case can name the toolkit"),
    "a cost that is none": (["errors", "desk", "--max-cost", "-1"], "--max-cost, `max_cost`: found -1.0"),
    "no model": (["errors", "desk", "--model", "gpt"], "--model: 'gpt' is no model name."),
    "a script that is not there": (["errors", "desk", "--model", "scripted/gone"], "scripted/gone: there is no such file."),
    "a hosted model without its key": (["errors", "desk", "--model", "openai/gpt-4.1-mini"], "OPENAI_API_KEY"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_wrong_input_ends_in_2_and_nothing_is_written(kind, cli, folder, desk):
    (folder / "lost").mkdir()
    for name in ("table", "My Table"):
        (folder / "lost" / f"{name}.toml").write_text(DESK.read_text().replace("desk_", "table_"))
    arguments, message = REFUSED[kind]
    before = files(folder)
    model = [] if "--model" in arguments else ["--model", script(NO)]
    answer = cli("toolkits", *arguments, *model)
    assert (answer.code, answer.out) == (2, ""), answer
    assert message in answer.err
    assert answer.err.startswith("influence: ")
    assert files(folder) == before


def test_a_toolkit_beside_its_cases_is_found(cli, folder):
    (folder / "mine" / "toolkits").mkdir(parents=True)
    (folder / "mine" / "toolkits" / "table.toml").write_text(DESK.read_text().replace("desk_", "table_"))
    kit, to = "mine/toolkits/table.toml", "mine/cases/new.toml"
    model = script([{"texts": case_texts(1)}])
    answer = cli("toolkits", "cases", "--toolkits", kit, "--count", "1", "--model", model, "--to", to)
    assert answer.code == 0, answer.err
    assert load_cases(to)[0].case.toolkits == ["table"]
    assert cli("toolkits", "check", to).code == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_the_same_seed_writes_the_same_file(name, cli, folder, desk):
    tool = {"parameters": [], "returns": [{"name": "ok", "type": "boolean", "description": "Whether."}], "exceptions": []}
    outline = {"category": "c", "description": "d", "tools": [{"name": "library_x", "description": "Lends."}]}
    replies = [
        *error_rules()[:1],
        {"when": "more tools", "texts": [json.dumps(outline)]},
        {"when": "Work out", "texts": [json.dumps(tool)]},
        {"when": "Write one more case", "texts": case_texts(8)},
        *NO,
    ]
    model, written = script(replies), []
    for _ in range(2):
        target = [] if name == "generate" else ["--to", f"envs/{'toolkits' if name == 'errors' else 'cases'}/new.toml"]
        before = files(folder)
        answer = cli("toolkits", *COMMANDS[name], "--model", model, "--seed", "5", *target)
        assert answer.code == 0, answer.err
        [new] = files(folder) - before
        written.append((folder / new).read_text())
        (folder / new).unlink()
    assert written[0] == written[1]


def test_ctrl_c_ends_it_and_nothing_is_written(cli, folder, desk, monkeypatch):
    async def interrupted(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    monkeypatch.setattr("influence.tools.generating.errors.write_errors", interrupted)
    before = files(folder)
    answer = cli("toolkits", "errors", "desk", "--model", script(NO))
    assert (answer.code, answer.out, answer.err) == (130, "", "influence: interrupted. Nothing was written.\n")
    assert files(folder) == before


AS_LOCAL = """
import os, sys
from influence.config import model_names
from influence.engines.scripted import ScriptedEngine
model_names.LOCAL_SCHEMES = ("scripted",)
async def loud(self):
    os.write(1, b"library words")
ScriptedEngine.open = loud
from influence.cli import main
sys.argv = ["influence", "toolkits", "errors", "desk", "--model", "scripted/writer.toml", "--count", "1"]
main()
"""


def test_what_an_engines_libraries_print_goes_to_a_log(folder, desk):
    script(error_rules())
    (folder / "tmp").mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", AS_LOCAL],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "TMPDIR": str(folder / "tmp")},
    )
    assert ended.returncode == 0, ended.stderr
    assert "library words" not in ended.stdout + ended.stderr
    [log] = (folder / "tmp").iterdir()
    assert log.read_text() == "library words"
    first, *progress = ended.stderr.splitlines()
    assert first == f"starting the engine; its own words are in {log}"
    assert "tool 2 of 3, desk_write: 1 errors kept" in progress
    assert ended.stdout.startswith("Added 1 errors to 1 of 3 tools.\n")
