"""A program for `test_nothing_is_run`: an episode with nasty words in every place, and on paper what the interpreter did meanwhile.

The interpreter tells its audit hooks of every file, connection and process that is opened, whoever opens it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from emulating import DESK, DONE, Spoken, act, case, in_turn, native, result, rules

from influence.chat import Message
from influence.engines.base import Call
from influence.engines.opening import RoleModel
from influence.tools.episode import EpisodePlan, ErrorRules, Limits, attempt
from influence.tools.injection import Schedule, in_a_row
from influence.tools.records import EpisodeRecord

NASTY = [
    "/etc/passwd",
    "../../../../etc/shadow",
    "file:///etc/passwd",
    "http://127.0.0.1:9/steal?x=1",
    "ftp://example.invalid/a",
    "; rm -rf /tmp/nothing-here",
    "$(touch touched)",
    "`touch touched`",
    "| nc 127.0.0.1 9",
    "__import__('os').system('touch touched')",
    "{{7*7}} {arguments} {tool}",
    "${HOME}",
    "%n%n%s",
    "\\\\server\\share",
    "!!python/object/apply:os.system ['id']",
    "'; DROP TABLE notes; --",
]
HOW = rules(Limits(1000, None, None), ErrorRules(made_up=True))


def moves(word: str) -> list[tuple[str, str]]:
    """Calls with this word in every place that a call has."""
    return [
        ("desk_read", json.dumps({"id": word})),
        ("desk_write", json.dumps({"id": word, "lines": [{"text": word}]})),
        ("bank_send_money", json.dumps({"account_id": "ACC-4401", "payee_id": "PAY-1", "cents": 1, "text": word})),
        ("bank_get_account", json.dumps({"account_id": word})),
        (word, json.dumps({"command": word})),
        ("os.system", json.dumps(word)),
        ("desk_read", word),
    ]


def agent(words: Sequence[str], protocol: str) -> Spoken:
    said = [move for word in words for move in moves(word)]
    if protocol == "native":
        return Spoken(in_turn(*[native(move) for move in said], native(text="Done.")), tools=True)
    return Spoken(in_turn(*[act(*move) for move in said], DONE))


def answers(messages: Sequence[Message], call: Call) -> str:
    about, word = messages[1].content, NASTY[call.turn % len(NASTY)]
    if "Make up an error" in about:
        return json.dumps({"name": f"X{word}", "message": word})
    change = {"op": "add", "path": "/desk/x", "value": word}
    return result({"text": word} if "- desk_read" in about else {"written": 1}, change)


def episode(words: Sequence[str], protocol: str, schedule: Schedule) -> Coroutine[Any, Any, EpisodeRecord]:
    roles: Any = {
        "agent": RoleModel(agent(words, protocol), None, "a"),  # type: ignore[arg-type]
        "emulator": RoleModel(Spoken(answers), None, "e"),  # type: ignore[arg-type]
    }
    plan = EpisodePlan("key", case("note-the-balance", DESK), "naive", "standard", "none", 0, 7, schedule)
    return attempt(plan, HOW, roles, lambda role, usage: None)


def main(protocol: str) -> None:
    events: list[tuple[str, str]] = []
    watching = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if watching:
            events.append((event, repr(arguments)[:200]))

    async def watched() -> EpisodeRecord:
        nonlocal watching
        await episode(["n1"], protocol, in_a_row(1))  # what is imported or read only once, is by now
        coroutine = episode(NASTY, protocol, Schedule(frozenset({2, 9}), "tool"))
        watching = True
        record = await coroutine
        watching = False
        return record

    sys.addaudithook(hook)
    record = asyncio.run(watched())
    watching = True
    open("/dev/null").close()
    watching = False
    outcomes = sorted({call.outcome for call in record.calls})
    print(json.dumps({"events": events, "calls": len(record.calls), "outcomes": outcomes, "end": record.end}))


if __name__ == "__main__":
    main(sys.argv[1])
