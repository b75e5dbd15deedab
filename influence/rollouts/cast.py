"""The roles of one conversation: who is asked, with which seed, and what it cost.

The seed of a call depends on the conversation, the role and the turn alone, so that no result hangs on the order in which
conversations happen to run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from influence.chat import Message
from influence.config.commands import RolloutConfig
from influence.config.sections import SamplingSection
from influence.engines.base import Call, Completion, Finish, Sampling, Usage
from influence.engines.opening import RoleModel
from influence.environments.schema import EnvironmentFile, InfluenceVariant
from influence.errors import ContextOverflowError, InfluenceError, RunStoppedError
from influence.judges.asking import AskingRules, ask
from influence.judges.scores import Score
from influence.rollouts.draws import Planned
from influence.rollouts.live_tools import LiveRules, live_rules
from influence.rollouts.progress import Progress
from influence.rollouts.records import StopReason
from influence.seeds import derive

JUDGES = ("preference", "transition", "influence")


@dataclass(frozen=True)
class Rules:
    """How every conversation of a rollout goes."""

    turn_limit: int
    token_limit: int | None
    agent_sampling: Sampling
    user_sampling: Sampling
    asking: AskingRules
    first_person: frozenset[str]  # the judges that are asked in the simulated user's own context
    whole_conversation: bool  # rate the conversation once instead of every reply
    transition_method: Literal["sampled", "likeliest", "logistic"]
    influence_variant: InfluenceVariant | None  # None: nobody asks
    reward_over: Literal["mean", "last"]
    length_penalty: float
    tools: tuple[Mapping[str, Any], ...] = ()
    live: LiveRules | None = None  # the toolkit that answers calls of `tools`


def rules_from(config: RolloutConfig, world: EnvironmentFile) -> Rules:
    """The rules that a configuration and an environment make together. Raises ConfigError or WorldError for tools without answers."""
    judges, live = config.judges, live_rules(config, world)
    perspectives = {
        "preference": judges.preference.perspective,
        "transition": judges.transition.perspective,
        "influence": judges.influence.perspective,
    }
    return Rules(
        turn_limit=config.rollout.turns or world.turns,
        token_limit=config.rollout.token_limit,
        agent_sampling=_sampling(config.sampling.agent),
        user_sampling=_sampling(config.sampling.user),
        asking=AskingRules(
            judges.method, judges.samples, judges.label_mass_floor, judges.hidden_ceiling, judges.prefill, judges.see_tool_calls
        ),
        first_person=frozenset(role for role, perspective in perspectives.items() if perspective == "first_person"),
        whole_conversation=judges.preference.scope == "conversation",
        transition_method=judges.transition.method,
        influence_variant=judges.influence.variant if judges.influence.enabled else None,
        reward_over=config.reward.over,
        length_penalty=config.reward.length_penalty,
        tools=live.tools if live else tuple({"type": "function", "function": tool.model_dump()} for tool in world.tools),
        live=live,
    )


def _sampling(section: SamplingSection) -> Sampling:
    return Sampling(section.max_tokens, section.temperature, section.top_p, section.top_k, section.min_p)


class EndedError(Exception):
    """The conversation cannot go on from here. Caught in `converse`, and nowhere else."""

    def __init__(self, reason: StopReason, error: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.error = reason, error


class Cast:
    """The models of one conversation, with its seeds and its bill."""

    def __init__(self, roles: Mapping[str, RoleModel], rules: Rules, planned: Planned, progress: Progress) -> None:
        self._roles, self._rules, self._planned, self._progress = roles, rules, planned, progress
        self._session = planned.key
        self.usage: dict[str, Usage] = {}
        self.from_cache: dict[int, set[str]] = {}  # turn -> roles that the response cache answered

    @property
    def spoken_tokens(self) -> int:
        """Tokens that agent and user have written so far."""
        return sum(self.usage[role].completion_tokens for role in ("agent", "user") if role in self.usage)

    async def reply(self, role: Literal["agent", "user"], view: Sequence[Message], turn: int) -> Completion:
        """The next message of agent or user. Raises EndedError where there is none, RunStoppedError where the run ends."""
        model, agent = self._roles[role], role == "agent"
        sampling = self._rules.agent_sampling if agent else self._rules.user_sampling
        try:
            tools = self._rules.tools if agent else ()
            completion = await model.engine.generate(view, sampling, self._call(role, turn), model.adapter, tools)
        except RunStoppedError:
            raise
        except ContextOverflowError:
            raise EndedError(StopReason.TOKEN_LIMIT) from None
        except InfluenceError as error:
            raise EndedError(StopReason.AGENT_FAILED if agent else StopReason.SIMULATOR_FAILED, f"{role}: {error}") from None
        self._charge(role, completion.usage, turn)
        if completion.finish == Finish.REFUSED:
            raise EndedError(
                StopReason.REFUSED if agent else StopReason.SIMULATOR_FAILED, None if agent else "user: the provider refused"
            )
        return completion

    async def score(self, role: str, prompt: Sequence[Message], labels: Mapping[str, float] | Sequence[str], turn: int) -> Score:
        """A judge's answer, which may be missing. Raises RunStoppedError only."""
        score, usage = await ask(self._roles[role], prompt, labels, self._call(role, turn), self._rules.asking)
        self._charge(role, usage, turn)
        return score

    def seed(self, purpose: str, turn: int) -> int:
        return derive(self._planned.seed, purpose, turn)

    def _call(self, role: str, turn: int) -> Call:
        return Call(role, self._session, self.seed(role, turn), turn)

    def _charge(self, role: str, usage: Usage, turn: int) -> None:
        if usage.from_cache:
            self.from_cache.setdefault(turn, set()).add(role)
        if usage.calls:
            self.usage[role] = self.usage.get(role, Usage()) + usage
            self._progress.charge(role, usage)
