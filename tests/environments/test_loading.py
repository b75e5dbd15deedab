"""From a folder to initial states: who meets which opening, in which split, with which words."""

from __future__ import annotations

import json
import shutil
from math import sqrt
from pathlib import Path

import pytest

from influence.environments.loading import environment_names, hashed_split, load_environment
from influence.environments.world import situation

BOOTH = Path(__file__).parent.parent / "fixtures" / "envs" / "booth"


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(BOOTH, tmp_path / "booth"))


def opening(number: int, **keys) -> str:
    return json.dumps({"id": f"o-{number}", "messages": [{"role": "user", "content": f"Question {number}?"}], **keys}) + "\n"


def splits(folder: Path) -> dict[str, str]:
    return {state.address: state.split for state in load_environment(str(folder)).initial_states}


def test_every_opening_meets_the_users_it_is_meant_for():
    assert [state.address for state in load_environment(str(BOOTH)).initial_states] == [
        "booth/platform/hurried/night-train",
        "booth/platform/calm/night-train",
        "booth/platform/hurried/lost-child",
        "booth/platform/calm/lost-child",
        "booth/platform/calm/only-calm",
        "booth/ticket/hurried/failed-booking",
        "booth/ticket/hurried/refund",
    ]


def test_openings_keep_their_messages_and_their_tool_calls():
    states = {state.id: state for state in load_environment(str(BOOTH)).initial_states}
    asked, called, answered = states["failed-booking"].messages
    assert (asked.role, asked.content) == ("user", "Book me the 9:40, please.")
    assert [(call.id, call.name, json.loads(call.arguments)) for call in called.tool_calls] == [("c1", "book", {"train": "9:40"})]
    assert (answered.role, answered.tool_call_id, answered.content) == ("tool", "c1", "error: sold out")
    assert [m.role for m in states["lost-child"].messages] == ["user", "assistant", "user"]


def test_a_split_that_is_stated_holds_for_every_kind_of_user(folder):
    assert splits(folder)["booth/platform/calm/lost-child"] == splits(folder)["booth/platform/hurried/lost-child"] == "heldout"
    assert splits(folder)["booth/ticket/hurried/failed-booking"] == "train"


def test_a_split_that_is_not_stated_is_fixed_by_the_address_alone(folder):
    lines = folder / "scenarios" / "ticket.jsonl"
    first = [opening(n) for n in range(200)]
    lines.write_text("".join(first))
    before = splits(folder)
    lines.write_text("".join(opening(n) for n in range(1000, 1100)) + "".join(reversed(first)))
    after = splits(folder)
    assert len(after) == len(before) + 100
    assert {address: after[address] for address in before} == before
    assert all(before[f"booth/ticket/hurried/o-{n}"] == hashed_split("booth", "ticket", f"o-{n}", 0.25) for n in range(200))


@pytest.mark.parametrize("heldout", [0.0, 0.1, 0.25, 0.5, 1.0])
def test_the_share_held_out_is_what_was_asked_for(heldout):
    ids = 4000
    found = sum(hashed_split("world", "scenario", f"opening-{n}", heldout) == "heldout" for n in range(ids)) / ids
    assert abs(found - heldout) <= 4 * sqrt(heldout * (1 - heldout) / ids)


def test_raising_the_share_moves_openings_one_way_only():
    small = {n for n in range(1000) if hashed_split("w", "s", f"o{n}", 0.2) == "heldout"}
    large = {n for n in range(1000) if hashed_split("w", "s", f"o{n}", 0.4) == "heldout"}
    assert small < large


def test_three_thousand_openings_in_a_file_of_lines(folder):
    lines = [opening(n, split="train" if n % 3 else "heldout", variables={"station": f"Stop {n}"}) for n in range(3000)]
    (folder / "scenarios" / "ticket.jsonl").write_text("\n".join(lines))  # blank lines between them
    world = load_environment(str(folder))
    states = [state for state in world.initial_states if state.scenario == "ticket"]
    assert [state.id for state in states] == [f"o-{n}" for n in range(3000)]
    assert sum(state.split == "heldout" for state in states) == 1000
    assert states[2999].messages[0].content == "Question 2999?"
    assert situation(world, states[2999], 1).agent_system == "You are the clerk of the booth at Stop 2999. Topic: tickets."


def test_the_digest_is_of_the_files_that_were_read(folder):
    before = load_environment(str(folder)).digest
    (folder / "scenarios" / ".hidden").mkdir()
    (folder / "README.md").write_text("Notes.")
    assert load_environment(str(folder)).digest == before == load_environment(str(BOOTH)).digest
    (folder / "scenarios" / "platform.toml").write_text((folder / "scenarios" / "platform.toml").read_text() + "\n# a comment")
    assert load_environment(str(folder)).digest != before


def test_an_environment_is_found_by_name_and_by_path(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert load_environment("booth").folder == load_environment("./booth").folder == Path("booth")
    (folder.parent / "envs").mkdir()
    shutil.move(folder, folder.parent / "envs" / "booth")
    assert load_environment("booth").folder == folder.parent / "envs" / "booth"
    assert environment_names() == [
        "action-advice",
        "booking-assistance",
        "booth",
        "companion",
        "political-questions",
        "therapy-talk",
        "ticket-booking",
    ]
