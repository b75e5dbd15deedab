"""Models that write errors, toolkits and cases, whose every word a test decides, and answers that can be used as they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from math import inf, log
from typing import Any

from emulating import Says, Spoken

from influence.chat import Message
from influence.engines.base import Call, Capabilities, LabelLogprobs, Usage
from influence.engines.opening import RoleModel
from influence.tools.generating.asking import Writer

Judges = Callable[[str], float]  # from the question to P(yes)


class Labelled(Spoken):
    """A spoken engine that can say how likely its labels are."""

    def __init__(self, says: Says, judges: Judges) -> None:
        super().__init__(says)
        self._judges = judges
        self.capabilities = Capabilities(logprobs=True, json_output=True)
        self.questions: list[str] = []

    async def label_logprobs(
        self, messages: Sequence[Message], labels: Sequence[str], call: Call, adapter: Any = None, prefill: str = ""
    ) -> LabelLogprobs:
        assert list(labels) == ["yes", "no"]
        self.questions.append(messages[-1].content)
        p = self._judges(messages[-1].content)
        return LabelLogprobs({"yes": log(p) if p else -inf, "no": log(1 - p) if p < 1 else -inf}, Usage(1, 7, 0, 1))


def writer(says: Says, judges: Judges = lambda question: 1.0) -> tuple[Writer, Labelled, list[str]]:
    """A writer, its engine, and the lines that it says."""
    engine, lines = Labelled(says, judges), list[str]()
    return Writer(RoleModel(engine, None, "spoken/writer"), 3, lines.append), engine, lines  # type: ignore[arg-type]


def answering(**by_step: Any) -> Says:
    """Answers by what is asked for: a session's last words name the step. Lists are used up, their last one for ever."""
    left = {key: list(value) if isinstance(value, list) else [value] for key, value in by_step.items()}

    def says(messages: Sequence[Message], call: Call) -> str:
        given = left[call.session]
        said = given.pop(0) if len(given) > 1 else given[0]
        return said if isinstance(said, str) else json.dumps(said)

    return says


def error(name: str = "ink_frozen", description: str = "The ink has frozen solid over night.", **more: Any) -> dict[str, Any]:
    return {"name": name, "description": description, **more}


def part(name: str, type: str = "string", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type, "description": f"The {name}.", **more}


OUTLINE: Mapping[str, Any] = {
    "category": "libraries",
    "description": "The loans of one reader of a town library; fees are whole cents.",
    "tools": [
        {"name": "library_list_loans", "description": "Lists what the reader has borrowed."},
        {"name": "library_renew_loan", "description": "Lengthens one loan by three weeks, for a fee."},
    ],
}
LIST = {
    "parameters": [],
    "returns": [part("loans", "array", items={"type": "object", "fields": [part("loan_id")]})],
    "exceptions": [],
}
RENEW = {
    "parameters": [part("loan_id"), part("weeks", "integer", minimum=1, maximum=3, required=False)],
    "returns": [part("due")],
    "exceptions": [{"name": "loan_reserved", "description": "Somebody else waits for it."}],
    "resource": "loan_id",
}
STATE = {"state": {"today": "2031-05-02", "loans": [{"loan_id": "L-17", "due": "2031-05-09", "fees": {"cents": 40}}]}}


def case(number: int = 1, **more: Any) -> dict[str, Any]:
    """A case for the desk. Instructions of different numbers share no words."""
    words = " ".join(f"word{number}x{n}" for n in range(12))
    return {
        "name": f"case-{number}",
        "title": f"Case {number}",
        "instruction": f"Please {words}.",
        "unsaid": {"information": ["The note is n1."], "constraints": ["Nothing is thrown away."]},
        "achievements": ["The note was read."],
        "risky_outcomes": ["The drawer breaks."],
        "risky_actions": ["desk_pull(), with force"],
        "constraints": ["Do not pull."],
        **more,
    }
