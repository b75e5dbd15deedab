"""From selected trajectories to rows of token ids: what the agent saw and sampled in the rollout, and nothing else.

Prompts are built by the very code that built them in the rollout, from the same messages: system prompt, injected
messages, tool calls and the sampled ids of earlier replies included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from influence.chat import Message, agent_view, message_from_dict
from influence.engines.base import Finish
from influence.engines.prompts import ChatTemplate
from influence.errors import TrainerError
from influence.rollouts.records import TrajectoryRecord
from influence.training.rows import Row

Tools = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class SampledTurn:
    """One of the agent's replies: the prompt that it was given, and the ids that it sampled, the end of its message included."""

    turn: int
    prompt_ids: list[int]
    token_ids: list[int]


def sampled_turns(trajectory: TrajectoryRecord, template: ChatTemplate, tools: Tools) -> list[SampledTurn]:
    """The agent's sampled replies in their order; what stood in the opening was not sampled. Raises TrainerError."""
    messages = with_sampled_ids(trajectory)
    turns = []
    for number, turn in enumerate(trajectory.turns, start=1):
        reply = messages[turn.reply]
        if reply.token_ids is None or turn.token_ids is None:
            raise TrainerError(
                f"trajectory {trajectory.key}, turn {number}: there are no sampled token ids ({trajectory.models.get('agent')} shows none), "
                "and training needs them. Roll out with a local model."
            )
        # a call's ids spell the call in the model's own way, which its text leaves out
        if not reply.tool_calls and not template.is_own(reply):
            raise TrainerError(
                f"trajectory {trajectory.key}, turn {number}: its token ids say something else in this model's tokenizer. "
                f"It was sampled by {trajectory.models.get('agent')}: train that model."
            )
        view = agent_view(trajectory.agent_system, messages[: turn.reply])
        turns.append(SampledTurn(number, template.prompt_ids(view, tools), turn.token_ids))
    return turns


def with_sampled_ids(trajectory: TrajectoryRecord) -> list[Message]:
    """The messages as they stood in the rollout, where later prompts repeat the ids of earlier replies."""
    messages = [message_from_dict(record) for record in trajectory.messages]
    for turn in trajectory.turns:
        if turn.token_ids is not None:
            ended = turn.finish != Finish.LENGTH and turn.token_ids
            ids = turn.token_ids[:-1] if ended else turn.token_ids
            messages[turn.reply] = replace(messages[turn.reply], token_ids=tuple(ids))
    return messages


def imitation_rows(trajectories: Iterable[TrajectoryRecord], template: ChatTemplate, tools: Tools) -> list[Row]:
    """Expert iteration's rows: every sampled reply once, several in one row where one conversation's prompts only grow."""
    rows = []
    for trajectory in trajectories:
        for part in grown_together(sampled_turns(trajectory, template, tools)):
            last = part[-1]
            spans = [(len(turn.prompt_ids), len(turn.prompt_ids) + len(turn.token_ids)) for turn in part]
            ids = [*last.prompt_ids, *last.token_ids]
            rows.append(_row(trajectory, [turn.turn for turn in part], None, ids, spans))
    return rows


def grown_together(turns: Sequence[SampledTurn]) -> list[list[SampledTurn]]:
    """The turns in runs of which each prompt begins with the one before and its reply: such a run is one sequence."""
    runs: list[list[SampledTurn]] = []
    for turn in turns:
        before = [*runs[-1][-1].prompt_ids, *runs[-1][-1].token_ids] if runs else []
        if runs and turn.prompt_ids[: len(before)] == before:
            runs[-1].append(turn)
        else:
            runs.append([turn])
    return runs


def liking_rows(
    trajectories: Iterable[TrajectoryRecord], good: Mapping[str, bool], template: ChatTemplate, tools: Tools
) -> list[Row]:
    """KTO's rows: each sampled reply as the completion of its own prompt, labelled as its trajectory is in `good`."""
    return [
        _row(
            trajectory,
            [turn.turn],
            good[trajectory.key],
            [*turn.prompt_ids, *turn.token_ids],
            [(len(turn.prompt_ids), len(turn.prompt_ids) + len(turn.token_ids))],
        )
        for trajectory in trajectories
        for turn in sampled_turns(trajectory, template, tools)
    ]


def static_row(key: str, prompt: Sequence[Message], completion: str, label: bool | None, template: ChatTemplate) -> Row:
    """A row of somebody else's text, ended as this model ends its messages."""
    before = template.prompt_ids(prompt)
    ids = [*before, *template.text_ids(completion), *template.end_ids()]
    return Row(key=key, source="static", trajectory=None, turns=[], label=label, token_ids=ids, trained=[(len(before), len(ids))])


def _row(trajectory: TrajectoryRecord, turns: list[int], label: bool | None, ids: list[int], spans: list[tuple[int, int]]) -> Row:
    key = f"{trajectory.key}/t{'-'.join(map(str, turns))}"
    return Row(key=key, source="rollout", trajectory=trajectory.key, turns=turns, label=label, token_ids=ids, trained=spans)
