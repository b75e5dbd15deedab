"""One conversation: the experiment's description, as code.

Everything random comes from the conversation's seed, everything slow from the cast; this file only decides what happens
next. A failure inside a conversation is a result (`stop_reason`, `error`), never an exception for the caller; the one
exception is an end of the whole run (a dead engine, a spent budget), after which no conversation can go on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from itertools import takewhile
from random import Random

from influence.chat import EVERYONE, Message, Party, agent_view, user_view
from influence.engines.base import Completion
from influence.engines.opening import RoleModel
from influence.environments.machine import likeliest_label, logistic_label, move, only_label, sample_label
from influence.environments.schema import FIVE_POINT_LABELS, RATING_LABELS, YES_NO_LABELS, State, Wording
from influence.environments.world import DERIVED_VARIABLES, Environment, Situation, influence_wording, situation
from influence.judges.asking import first_person, third_person
from influence.judges.scores import Score
from influence.rollouts.cast import Cast, EndedError, Rules
from influence.rollouts.draws import Planned
from influence.rollouts.live_tools import LiveTools
from influence.rollouts.progress import Progress
from influence.rollouts.records import (
    FAILURES,
    StopReason,
    TrajectoryRecord,
    TransitionRecord,
    TurnRecord,
    score_record,
    usage_record,
)
from influence.rollouts.reward import mean_influence, reward

RATINGS = {label: float(label) for label in RATING_LABELS}
LIKELIHOODS = {label: float(label) for label in FIVE_POINT_LABELS}
YES_NO = {label: float(label) for label in YES_NO_LABELS}
FIVE_POINT_AS_FRACTION = {label: (int(label) - 1) / 4 for label in FIVE_POINT_LABELS}  # influence is always in 0..1


async def converse(
    planned: Planned, environment: Environment, models: Mapping[str, RoleModel], rules: Rules, progress: Progress
) -> TrajectoryRecord:
    """Hold one conversation to its end. Raises RunStoppedError, and nothing else that a model can cause."""
    started, clock = time.time(), time.perf_counter()
    here = situation(environment, planned.initial, planned.seed)
    talk = Talk(here, Cast(models, rules, planned, progress), rules)
    state_name, turns, end = here.world.start, list[TurnRecord](), None
    while end is None:
        turn = len(turns) + 1
        # 1. the agent replies
        try:
            reply = await talk.agent_replies(turn)
        except EndedError as ended:
            end = ended
            break
        index = len(talk.messages) - 1
        if reply.tool_calls and talk.tools is not None:
            # the tools answer, and the agent goes on: the user has seen nothing yet
            turns.append(talk.call_turn(reply, turn, state_name))
            end = talk.too_many_calls(turns)
            progress.turns += 1
            continue
        # 2. the judges are asked about the reply, all at the same time; what happens next waits for the transition alone
        seen = tuple(talk.messages)  # as it is now: what follows must not reach a judge's prompt
        scores = asyncio.gather(talk.preference(seen, turn), talk.influence(seen, turn))
        try:
            moved = await talk.transition(seen, here.world.states[state_name], turn)
            # 3. the state machine moves; entering a state may inject messages
            if moved.label is None:
                end = EndedError(StopReason.SIMULATOR_FAILED, f"transition: {moved.reason}")
            else:
                arrival = move(here.world, state_name, moved.label)
                state_name = arrival.name
                if arrival.entered:
                    talk.messages += here.injected(arrival.state)
                # 4. stop?
                end = talk.end(arrival.state, sum(not t.calls for t in turns) + 1)
            # 5. the user replies, unless nobody will read it or an injected message has spoken for them
            if end is None and all(message.role != "user" for message in talk.messages[index + 1 :]):
                try:
                    await talk.user_replies(turn)
                except EndedError as ended:
                    end = ended
            liked, influenced = await scores
        except BaseException:
            scores.cancel()
            await asyncio.gather(scores, return_exceptions=True)  # nobody will ask how they ended
            raise
        turns.append(
            TurnRecord(
                reply=index,
                finish=reply.finish,
                preference=score_record(liked) if liked else None,
                transition=moved,
                influence=score_record(influenced) if influenced else None,
                state=state_name,
                token_ids=list(reply.token_ids) if reply.token_ids is not None else None,
                from_cache=sorted(talk.cast.from_cache.get(turn, ())),
            )
        )
        progress.turns += 1
    whole = await talk.whole_preference(len(turns)) if rules.whole_conversation and turns else None
    return _record(planned, talk, models, turns, whole, end, started, time.perf_counter() - clock)


class Talk:
    """A conversation as it stands, and what can be done with it next."""

    def __init__(self, here: Situation, cast: Cast, rules: Rules) -> None:
        self.here, self.cast, self.rules = here, cast, rules
        self.messages: list[Message] = list(here.opening)
        self.agent_system, self._user_system, self._cue = here.agent_system, here.user_system, here.user_cue
        self.tools = LiveTools(rules.live, cast.seed("live tools", 0)) if rules.live is not None else None

    async def agent_replies(self, turn: int) -> Completion:
        reply = await self.cast.reply("agent", agent_view(self.agent_system, self.messages), turn)
        calling = bool(reply.tool_calls) and self.tools is not None
        seen_by: tuple[Party, ...] = ("agent", "judges") if calling else EVERYONE
        said = Message("assistant", reply.text, reply.tool_calls, token_ids=reply.content_ids, seen_by=seen_by)
        self.messages.append(said)
        return reply

    def call_turn(self, reply: Completion, turn: int, state: str) -> TurnRecord:
        """The agent's message called tools: they answer, and nobody is asked about it."""
        assert self.tools is not None
        index, records = len(self.messages) - 1, []
        for call in reply.tool_calls:
            record, shown = self.tools.answer(call, index)
            records.append(record)
            self.messages.append(shown)
        return TurnRecord(
            reply=index,
            finish=reply.finish,
            preference=None,
            transition=None,
            influence=None,
            state=state,
            token_ids=list(reply.token_ids) if reply.token_ids is not None else None,
            from_cache=sorted(self.cast.from_cache.get(turn, ())),
            calls=records,
        )

    def too_many_calls(self, turns: Sequence[TurnRecord]) -> EndedError | None:
        """The end of a conversation whose agent has called tools as often as it may, and still has not answered the user."""
        assert self.rules.live is not None
        in_a_row = len(list(takewhile(lambda t: t.calls, reversed(turns))))
        if in_a_row > self.rules.live.calls:
            return EndedError(StopReason.CALL_LIMIT)
        if self.rules.token_limit is not None and self.cast.spoken_tokens >= self.rules.token_limit:
            return EndedError(StopReason.TOKEN_LIMIT)
        return None

    async def user_replies(self, turn: int) -> None:
        reply = await self.cast.reply("user", user_view(self._user_system, self._cue, self.messages), turn)
        self.messages.append(Message("user", reply.text, token_ids=reply.content_ids))

    def end(self, state: State, turn: int) -> EndedError | None:
        """Why the conversation ends here, if it does."""
        if state.terminal:
            return EndedError(StopReason.TERMINAL)
        if turn >= self.rules.turn_limit:
            return EndedError(StopReason.TURN_LIMIT)
        if self.rules.token_limit is not None and self.cast.spoken_tokens >= self.rules.token_limit:
            return EndedError(StopReason.TOKEN_LIMIT)
        return None

    async def preference(self, seen: Sequence[Message], turn: int) -> Score | None:
        """How this user rates the reply, 1..10; None where only whole conversations are rated."""
        if self.rules.whole_conversation:
            return None
        return await self._score(seen, "preference", self.here.world.judges.preference, RATINGS, turn)

    async def whole_preference(self, turn: int) -> Score:
        wording = self.here.world.judges.preference.whole
        assert wording is not None  # checked before the run
        return await self._score(self.messages, "preference", wording, RATINGS, turn)

    async def influence(self, seen: Sequence[Message], turn: int) -> Score | None:
        """Was the reply harmful, manipulative, deceptive, 0..1; None where nobody records it."""
        variant = self.rules.influence_variant
        if variant is None:
            return None
        wording = influence_wording(self.here.world, variant)
        assert wording is not None  # checked before the run
        return await self._score(seen, "influence", wording, FIVE_POINT_AS_FRACTION if variant == "five_point" else YES_NO, turn)

    async def transition(self, seen: Sequence[Message], state: State, turn: int) -> TransitionRecord:
        """What happens next. An answer that cannot be read takes the state's default label, and the record says so."""
        only = only_label(state)
        if only is not None:
            return TransitionRecord(value=None, distribution=None, label_mass=None, method=None, label=only)
        random = Random(self.cast.seed("transition draw", turn))
        label: str | None
        if self.rules.transition_method == "logistic":
            assert state.scale is not None  # checked before the run
            score = await self._score(seen, "transition", state.scale, LIKELIHOODS, turn)
            label = logistic_label(score.value, state.scale.high, state.scale.low, random)[0] if score.value is not None else None
        else:
            score = await self._score(seen, "transition", state, list(state.transitions), turn)
            pick = likeliest_label if self.rules.transition_method == "likeliest" else lambda d: sample_label(d, random)
            label = pick(score.distribution) if score.distribution is not None else None
        reason = score.reason
        if label is None and state.default is not None:
            label, reason = state.default, f"{score.reason}; the default was taken"
        return TransitionRecord(**score_record(score).model_dump() | {"label": label, "reason": reason})

    async def _score(
        self, seen: Sequence[Message], role: str, wording: Wording | State, labels: Mapping[str, float] | list[str], turn: int
    ) -> Score:
        if role in self.rules.first_person:
            question = self.here.question(wording, first_person=True)
            prompt = first_person(self._user_system, self._cue, seen, question)
        else:
            prompt = third_person(self.here, seen, self.here.question(wording, first_person=False), self.rules.asking)
        return await self.cast.score(role, prompt, labels, turn)


def _record(
    planned: Planned,
    talk: Talk,
    models: Mapping[str, RoleModel],
    turns: list[TurnRecord],
    whole: Score | None,
    end: EndedError,
    started: float,
    seconds: float,
) -> TrajectoryRecord:
    initial, rules = planned.initial, talk.rules
    ratings = [whole.value] if whole else [t.preference.value for t in turns if t.preference]
    own_characters = sum(len(talk.messages[t.reply].content) for t in turns)
    influences = [t.influence.value for t in turns if t.influence]
    return TrajectoryRecord(
        key=planned.key,
        environment=initial.environment,
        scenario=initial.scenario,
        kind=initial.kind,
        state=initial.id,
        split=initial.split,
        sample=planned.sample,
        iteration=planned.iteration,
        seed=planned.seed,
        models={role: model.name for role, model in models.items()},
        variables={name: v for name, v in talk.here.variables.items() if name not in DERIVED_VARIABLES},
        agent_system=talk.agent_system,
        messages=[message.to_dict() for message in talk.messages],
        turns=turns,
        preference=score_record(whole) if whole else None,
        reward=None if end.reason in FAILURES else reward(ratings, rules.reward_over, own_characters, rules.length_penalty),
        influence=mean_influence(influences),
        stop_reason=end.reason,
        error=end.error,
        usage={role: usage_record(usage) for role, usage in sorted(talk.cast.usage.items())},
        started=started,
        seconds=seconds,
    )
