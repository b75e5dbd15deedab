"""What can be checked of a run with tools before a model is started: cases, prompts, doses, and the list of episodes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any, get_args

from influence.config.commands import ToolsConfig
from influence.config.sections import SamplingSection
from influence.engines.base import Sampling
from influence.engines.opening import check_models
from influence.errors import ConfigError, nearest
from influence.evaluation.rubrics import Rubric, load_rubric
from influence.seeds import derive
from influence.tools.agent import AgentRules, Protocol
from influence.tools.emulator import EmulatorRules
from influence.tools.episode import EpisodePlan, EpisodeRules, ErrorRules, Limits
from influence.tools.injection import Schedule, by_rate, in_a_row
from influence.tools.loading import Assignment, load_cases
from influence.tools.prompts import ProtocolPrompt, load_agent, load_emulator, load_protocol
from influence.tools.specs import Detail

NO_ERRORS = "none"
FRAME_TOKENS = 1500  # about what a prompt with the words of a case's tools holds


@dataclass(frozen=True)
class Tooling:
    """Everything that can be checked before a model is started or a file is written."""

    config: ToolsConfig
    assignments: list[Assignment]
    planned: list[EpisodePlan]
    rules: EpisodeRules
    rubrics: list[Rubric]
    sources: dict[str, Any]


def prepare(config: ToolsConfig) -> Tooling:
    """Load and check everything. Raises ConfigError or WorldError; nothing has been written then."""
    check_models(config.by_role(), config.engine, config.hosted, config.budget)
    tools, sampling = config.tools, config.sampling
    protocols: dict[Protocol, ProtocolPrompt] = {name: load_protocol(name) for name in get_args(Protocol)}
    agents = {
        name: AgentRules(
            load_agent(name), protocols, tools.protocol, Detail(tools.detail), sampling_of(sampling.agent), tools.agent_tries
        )
        for name in tools.agents
    }
    emulators = {
        name: EmulatorRules(load_emulator(name), tools.memory, sampling_of(sampling.emulator), tools.emulator_tries)
        for name in tools.emulators
    }
    errors = ErrorRules(tuple(config.errors.criteria), config.errors.source == "made_up")
    rules = EpisodeRules(agents, emulators, Limits(tools.steps, tools.tokens, tools.seconds), errors)
    assignments = chosen(config)
    rubrics = [load_rubric(name) for name in config.evaluation.rubrics]
    planned = [
        episode
        for assignment in assignments
        for agent in tools.agents
        for emulator in tools.emulators
        for dose in doses(config)
        for repeat in range(tools.repeats)
        for episode in [plan(config, assignment, agent, emulator, dose, repeat)]
    ]
    prompts = [agent.prompt.model_dump() for agent in agents.values()]
    prompts += [emulator.prompt.model_dump() for emulator in emulators.values()]
    prompts += [protocol.model_dump() for protocol in protocols.values()]
    prompts += [rubric.model_dump() for rubric in rubrics]
    return Tooling(config, assignments, planned, rules, rubrics, sources(assignments, prompts))


def chosen(config: ToolsConfig) -> list[Assignment]:
    """The cases that a run is about, in the order of their keys. Raises ConfigError for a name that fits none."""
    tools = config.tools
    there = sorted((one for name in tools.cases for one in load_cases(name)), key=lambda one: one.key)
    keys = [one.key for one in there]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise ConfigError(f"tools.cases: {twice} stands in two of the sets, and one journal needs one name for one case.")
    for pattern in tools.only:
        if not any(_fits(one, pattern) for one in there):
            names = [one.case.name for one in there]
            raise ConfigError(
                f"tools.only: no case of {', '.join(tools.cases)} is called `{pattern}`. {nearest(pattern, names)}Cases: {', '.join(names)}."
            )
    kept = [one for one in there if not tools.only or any(_fits(one, pattern) for pattern in tools.only)]
    return kept[: tools.most]


def _fits(assignment: Assignment, pattern: str) -> bool:
    return fnmatchcase(assignment.case.name, pattern) or fnmatchcase(assignment.key, pattern)


def doses(config: ToolsConfig) -> list[str]:
    """The names of the doses: `p=0.1` for a rate, `k=2` for calls in a row, `none` where no error is injected at all."""
    errors = config.errors
    if errors.rates:
        return [f"p={rate:.12g}" for rate in errors.rates]
    return [f"k={rounds}" for rounds in errors.rounds] or [NO_ERRORS]


def plan(config: ToolsConfig, assignment: Assignment, agent: str, emulator: str, dose: str, repeat: int) -> EpisodePlan:
    """One episode. Its seed is the same at every dose, so that a case is compared with itself."""
    seed = derive(config.seed, "episode", assignment.key, agent, emulator, repeat)
    key = f"{assignment.key}/{agent}/{emulator}/{dose}/r{repeat}"
    return EpisodePlan(key, assignment, agent, emulator, dose, repeat, seed, schedule(config, dose, seed))


def schedule(config: ToolsConfig, dose: str, seed: int) -> Schedule:
    """The errors of one episode. At a higher rate the calls that fail at a lower one fail too."""
    errors, limits = config.errors, Limits(config.tools.steps, None, None)
    kind, _, amount = dose.partition("=")
    if kind == "p":
        return by_rate(float(amount), errors.most, limits.steps * limits.calls_a_message, seed, errors.binding)
    return in_a_row(int(amount), errors.first, errors.binding) if kind == "k" else Schedule()


def sources(assignments: list[Assignment], prompts: list[dict[str, Any]]) -> dict[str, Any]:
    """Which texts give a run its numbers: a digest over the cases, their toolkits and all prompts."""
    texts: dict[str, Any] = {one.key: one.case.model_dump() for one in assignments}
    kits = {kit.name: kit.digest for one in assignments for kit in one.toolkits}
    whole = json.dumps([texts, kits, prompts], sort_keys=True, ensure_ascii=False)
    return {
        "name": ", ".join(sorted({one.set for one in assignments})),
        "digest": sha256(whole.encode()).hexdigest(),
        "cases": len(assignments),
        "toolkits": dict(sorted(kits.items())),
    }


def tokens_each(config: ToolsConfig) -> int:
    """About how many tokens of cache one episode wants: the agent's view and the emulator's."""
    talk = config.tools.steps * (config.sampling.agent.max_tokens + config.sampling.emulator.max_tokens) // 2
    return min(2 * config.engine.max_model_len, 2 * FRAME_TOKENS + 2 * talk)


def sampling_of(section: SamplingSection) -> Sampling:
    return Sampling(section.max_tokens, section.temperature, section.top_p, section.top_k, section.min_p)
