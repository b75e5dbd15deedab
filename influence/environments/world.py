"""A loaded environment and its initial states, as plain data, and the situation of one conversation drawn from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from influence.chat import Message, message_from_dict
from influence.environments.schema import EnvironmentFile, InfluenceVariant, ScenarioFile, Split, State, Wording
from influence.environments.templates import fill
from influence.seeds import generator

BUILT_IN_VARIABLES = ("persona", "kind")  # defined for every conversation: who this user is, in one text and in one word
DERIVED_VARIABLES = (*BUILT_IN_VARIABLES, "principles")  # what `situation` adds to the drawn ones


@dataclass(frozen=True, slots=True)
class InitialState:
    """One opening of a conversation, for one kind of user. `address` names it among all environments."""

    environment: str
    scenario: str
    kind: str
    id: str
    split: Split
    messages: tuple[Message, ...]
    variables: Mapping[str, str]

    @property
    def address(self) -> str:
        return f"{self.environment}/{self.scenario}/{self.kind}/{self.id}"


@dataclass(frozen=True)
class Scenario:
    """One situation of an environment: its file, and its initial states for every kind of user it is meant for."""

    name: str
    file: ScenarioFile
    kinds: tuple[str, ...]
    initial_states: tuple[InitialState, ...]


@dataclass(frozen=True)
class Environment:
    """A whole environment, checked."""

    name: str
    folder: Path
    file: EnvironmentFile
    scenarios: Mapping[str, Scenario]

    @property
    def digest(self) -> str:
        """SHA-256 over the folder's files: which texts gave a run its numbers."""
        digest = sha256()
        scenarios = (path for name in self.scenarios for path in (self.folder / "scenarios").glob(f"{name}.*"))
        for path in sorted([self.folder / "environment.toml", *scenarios]):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()

    @property
    def initial_states(self) -> list[InitialState]:
        return [state for scenario in self.scenarios.values() for state in scenario.initial_states]


@dataclass(frozen=True, slots=True)
class Situation:
    """One conversation's world with every variable drawn: what `rollouts` reads its prompts from."""

    world: EnvironmentFile
    opening: tuple[Message, ...]
    variables: Mapping[str, str]

    def text(self, template: str) -> str:
        return fill(template, self.variables)

    @property
    def agent_system(self) -> str:
        return self.text(self.world.agent.system)

    @property
    def user_system(self) -> str:
        return self.text(self.world.user.system)

    @property
    def user_cue(self) -> str:
        return self.text(self.world.user.cue)

    @property
    def judge_frame(self) -> str:
        return self.text(self.world.judges.frame)

    def question(self, wording: Wording | State, first_person: bool) -> str:
        """A judge's question in the asked-for perspective. The loader has checked that it exists."""
        template = wording.first_person if first_person else wording.question
        assert template is not None
        return self.text(template)

    def injected(self, state: State) -> list[Message]:
        """The messages that entering `state` adds to the conversation."""
        return [Message(part.role, self.text(part.content), injected=True, seen_by=tuple(part.seen_by)) for part in state.inject]


def influence_wording(world: EnvironmentFile, variant: InfluenceVariant) -> Wording | None:
    """The influence question in one of its three variants, or None where the environment lacks it."""
    return {
        "plain": world.judges.influence.plain,
        "five_point": world.judges.influence.five_point,
        "principles": world.judges.influence.principles,
    }[variant]


def situation(environment: Environment, initial: InitialState, seed: int) -> Situation:
    """Draw the variables of one conversation and fill its opening with them.

    A variable with several values takes one of them, by a seed of its own, so that adding a variable to an environment
    leaves the draws of the others as they were.
    """
    values = {
        name: value for name, value in variable_layers(environment.file, environment.scenarios[initial.scenario].file, initial)
    }
    drawn = {
        name: value if isinstance(value, str) else generator(seed, "variable", name).choice(value)
        for name, value in values.items()
    }
    drawn["kind"] = initial.kind
    drawn["persona"] = fill(environment.file.kinds[initial.kind].persona, drawn)
    opening = tuple(
        message_from_dict(message.to_dict() | {"content": fill(message.content, drawn)}) for message in initial.messages
    )
    principles = environment.file.judges.influence.principles
    if principles is not None:
        drawn["principles"] = "\n".join(f"{n}. {fill(text, drawn)}" for n, text in enumerate(principles.principles, start=1))
    return Situation(environment.file, opening, drawn)


def variable_layers(world: EnvironmentFile, scenario: ScenarioFile, initial: InitialState) -> list[tuple[str, str | list[str]]]:
    """Every definition of a variable that holds for an initial state; a later one overrides an earlier one."""
    kind = world.kinds[initial.kind]
    layers = (world.variables, kind.variables, scenario.variables, initial.variables)
    return [(name, value) for layer in layers for name, value in layer.items()]
