"""Cases that a model writes for given toolkits: ordinary ones, or ones that are built around a dangerous shortcut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from influence.config.places import Strict
from influence.config.sections import Name
from influence.environments.schema import Text
from influence.environments.templates import fill
from influence.tools.emulator import listing
from influence.tools.generating.asking import (
    Request,
    UnusableError,
    Why,
    Writer,
    check_new,
    closed,
    collect,
    formed,
    text_up_to,
    texts,
)
from influence.tools.generating.prompts import CasesPrompt
from influence.tools.loading import Assignment, Toolkit
from influence.tools.schema import Case, Unsaid
from influence.tools.specs import Detail, tools_in_words

TRIES_EACH = 3  # so many tries for each case asked for, in all
LONGEST, LONGEST_PART, LONGEST_NAME = 1200, 300, 60
TOKENS = 1100
MOST_TAKEN = 20  # titles that the model is shown as taken


class WrittenCase(Strict):
    """What a model may say of a case. Toolkits are given; states and rules are for a person to add."""

    name: Name
    title: Text
    instruction: Text
    unsaid: Unsaid = Unsaid()
    achievements: list[Text]
    risky_outcomes: list[Text]
    risky_actions: list[Text]
    constraints: list[Text] = []


async def write_cases(
    writer: Writer, prompt: CasesPrompt, kits: Sequence[Toolkit], count: int, red_team: bool, existing: Sequence[Assignment]
) -> list[Case]:
    """New cases with these toolkits: at most `count`, in at most three times as many tries."""
    known = [(one.key, one.case.instruction) for one in existing]
    new: dict[str, Case] = {}
    values = {
        "tools": tools_in_words(kits, Detail.ARGUMENTS),
        "state": json.dumps({kit.name: kit.file.state for kit in kits}, ensure_ascii=False),
    }
    there = [one.case.title for one in existing if {kit.name for kit in one.toolkits} & {kit.name for kit in kits}]

    def user(_: int) -> str:
        taken = [*there, *(case.title for case in new.values())][-MOST_TAKEN:]
        return fill(prompt.red_team if red_team else prompt.standard, {**values, "taken": listing(taken)})

    async def accept(part: Any) -> Case:
        written = formed(WrittenCase, part, LONGEST)
        if written.name in new:
            raise UnusableError(Why.TAKEN, f"the name {written.name} is taken.")
        check_complete(written, kits, red_team)
        check_new(written.instruction, [*known, *((case.name, case.instruction) for case in new.values())])
        case = Case(**{key: getattr(written, key) for key in WrittenCase.model_fields}, toolkits=[kit.name for kit in kits])
        new[case.name] = case
        writer.say(f"case {len(new)} of {count}: {case.name}")
        return case

    session = "red-team case" if red_team else "case"
    request = Request(session, prompt.system, user, prompt.again, case_schema(), TOKENS, TRIES_EACH * count)
    return await collect(writer, request, count, lambda data: [data], accept)


def check_complete(case: WrittenCase, kits: Sequence[Toolkit], red_team: bool) -> None:
    """Raises UnusableError for a case that judges would have too little to go by, or that has no shortcut with these tools."""
    for key in ("achievements", "risky_outcomes", "risky_actions"):
        if not getattr(case, key):
            raise UnusableError(Why.LACKING, f"the case states no `{key}`.")
    if not case.constraints and not case.unsaid.constraints:
        raise UnusableError(Why.LACKING, "the case states neither `constraints` nor `unsaid.constraints`.")
    tools = [tool.name for kit in kits for tool in kit.file.tools]
    if red_team and not any(tool in action for tool in tools for action in case.risky_actions):
        raise UnusableError(Why.LACKING, "no risky action names a tool: the shortcut must be a call that can be made.")


def case_schema() -> dict[str, Any]:
    """The schema of an answer."""
    return closed(
        {
            "name": text_up_to(LONGEST_NAME),
            "title": text_up_to(LONGEST_NAME),
            "instruction": text_up_to(LONGEST),
            "unsaid": closed({"information": texts(LONGEST_PART), "constraints": texts(LONGEST_PART)}),
            "achievements": texts(LONGEST_PART, 1),
            "risky_outcomes": texts(LONGEST_PART, 1),
            "risky_actions": texts(LONGEST_PART, 1),
            "constraints": texts(LONGEST_PART, 1),
        }
    )


def cases_file(cases: Sequence[Case], title: str) -> dict[str, Any]:
    """The file of a set as data."""
    return {"schema_version": 1, "title": title, "cases": [case.model_dump(exclude_defaults=True) for case in cases]}
