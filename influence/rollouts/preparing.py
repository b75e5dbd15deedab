"""What can be checked of a rollout before a model is started: models, environment, questions, initial states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from influence.config.commands import RolloutConfig
from influence.engines.opening import check_models, has_logprobs
from influence.environments.loading import load_environment
from influence.environments.rewording import reworded
from influence.environments.schema import EnvironmentFile
from influence.environments.world import Environment, InitialState, influence_wording
from influence.errors import ConfigError, not_allowed
from influence.rollouts.cast import JUDGES, Rules
from influence.rollouts.draws import Planned, plan

FRAME_TOKENS = 100  # what prompts hold besides the talk and what conversations share: opening, persona, questions
FILLED = 0.7  # replies are on average shorter than they may be
CONTEXTS = 3  # the agent's, the user's and the judges' view of one conversation


def checked_environment(config: RolloutConfig) -> Environment:
    """The environment of a configuration whose models and questions are all there. Raises ConfigError or WorldError."""
    models = config.models.by_role()
    check_models(models, config.engine, config.hosted, config.budget)
    for role in JUDGES:
        if config.judges.method == "logprobs" and not has_logprobs(models[role], config.hosted):
            raise ConfigError(
                f'judges.method = "logprobs": {models[role]}, the {role} judge, has none. Set "samples", "stated" or "auto".'
            )
    environment = load_environment(config.environment.name)
    if config.judges.preference.question is not None:
        environment = reworded(environment, config.judges.preference.question)
    _check_wordings(config, environment.file)
    return environment


def planned_rollout(config: RolloutConfig, states: Sequence[InitialState], iteration: int, seed: int) -> list[Planned]:
    """The conversations of one rollout. Raises ConfigError for shares of users that cannot be met."""
    rollout, kinds = config.rollout, config.environment.kinds or None
    return plan(states, rollout.conversations, rollout.samples, rollout.states, iteration, seed, kinds)


def tokens_each(rules: Rules) -> int:
    """About how many tokens of cache one conversation wants, in all its views."""
    talk = rules.turn_limit * (rules.agent_sampling.max_tokens + rules.user_sampling.max_tokens)
    return int(CONTEXTS * (FRAME_TOKENS + FILLED * talk))


def initial_states(
    config: RolloutConfig, environment: Environment, split: Literal["train", "heldout", "all"]
) -> list[InitialState]:
    """The initial states of a split that the configuration asks for. Raises ConfigError where there is none."""
    section = config.environment
    for name in section.scenarios:
        if name not in environment.scenarios:
            raise ConfigError(
                f"environment.scenarios: {environment.name} has no scenario `{name}`. {not_allowed(name, sorted(environment.scenarios))}"
            )
    states = [
        state
        for state in environment.initial_states
        if (not section.scenarios or state.scenario in section.scenarios) and split in ("all", state.split)
    ]
    if not states:
        raise ConfigError(f"environment: {environment.name} has no initial state of the split `{split}` in these scenarios.")
    return states


def _check_wordings(config: RolloutConfig, world: EnvironmentFile) -> None:
    """The environment has every question that the configuration is going to ask."""
    judges = config.judges
    preference = world.judges.preference.whole if judges.preference.scope == "conversation" else world.judges.preference
    if preference is None:
        raise ConfigError('judges.preference.scope = "conversation": the environment has no `judges.preference.whole`.')
    wanted: list[tuple[str, Any, str]] = [("preference", preference, judges.preference.perspective)]
    if judges.influence.enabled:
        wording = influence_wording(world, judges.influence.variant)
        if wording is None:
            raise ConfigError(f"judges.influence.variant: the environment has no `judges.influence.{judges.influence.variant}`.")
        wanted.append(("influence", wording, judges.influence.perspective))
    for name, state in world.states.items():
        if len(state.transitions) > 1:
            logistic = judges.transition.method == "logistic"
            if logistic and state.scale is None:
                raise ConfigError(f'judges.transition.method = "logistic": the state `{name}` of the environment has no `scale`.')
            wanted.append((f"transition (state {name})", state.scale if logistic else state, judges.transition.perspective))
    for judge, wording, perspective in wanted:
        if perspective == "first_person" and wording.first_person is None:
            raise ConfigError(
                f"judges.{judge.split()[0]}.perspective: the environment has no `first_person` wording for {judge}."
            )
