"""Everything about a training run that can be checked before a model is started or a file is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from influence.config.commands import TrainConfig, TrainEiConfig
from influence.config.model_names import HOSTED_SCHEMES, LOCAL_SCHEMES, parse_model_name
from influence.config.places import is_file, is_folder
from influence.config.sections import EngineSection
from influence.engines.devices import choose_gpus, visible_gpus
from influence.engines.opening import pool_gpus
from influence.environments.world import Environment, InitialState
from influence.errors import ConfigError, RunError
from influence.rollouts.cast import Rules, rules_from
from influence.rollouts.draws import Planned, in_turns, plan
from influence.rollouts.preparing import checked_environment, initial_states, planned_rollout
from influence.rollouts.reading import TRAJECTORIES, read_trajectories
from influence.rollouts.records import TrajectoryRecord
from influence.training.launching import accumulation, launch, missing_packages
from influence.training.openai_tuning import OpenAiTuner
from influence.training.static_data import StaticData, load_static, require_labels
from influence.training.tuning_prices import check_tuned_price


@dataclass(frozen=True)
class Arm:
    """One training run of several: a seed, and whether its trajectories are selected by lot. One alone has no name."""

    name: str
    seed: int
    control: bool
    folder: Path  # within the run's folder


@dataclass(frozen=True)
class Training:
    """A training run, checked."""

    config: TrainConfig
    environment: Environment
    rules: Rules
    train_states: list[InitialState]
    heldout_states: list[InitialState]
    arms: list[Arm]
    static: StaticData | None
    given: Path | None  # trajectories that take the place of the first rollout
    gpus: list[int]  # the trainer's

    def rollout_plan(self, arm: Arm, iteration: int) -> list[Planned]:
        return planned_rollout(self.config, self.train_states, iteration, arm.seed)

    def heldout_plan(self, arm: Arm) -> list[Planned]:
        """The same conversations with the same seeds in every iteration, so that iterations are compared pair by pair."""
        samples = self.config.training.heldout_samples
        return plan(self.heldout_states, len(self.heldout_states) * samples, samples, "fixed", 0, arm.seed)

    @property
    def engine(self) -> EngineSection:
        """The engine's section with room for the adapters: of the rank that is trained, a new one beside the old, and other roles' own."""
        engine, rank = self.config.engine, self.config.trainer.lora.rank
        ranks = sorted(get_args(EngineSection.model_fields["max_lora_rank"].annotation))
        others = {parse_model_name(text).adapter for role, text in self.config.models.by_role().items() if role != "agent"}
        room = {
            "max_lora_rank": max(engine.max_lora_rank, next(r for r in ranks if r >= rank)),
            "max_loras": max(engine.max_loras, len(others - {None}) + 2),
        }
        return engine.model_copy(update=room)


def prepare(config: TrainConfig) -> Training:
    """Load and check everything. Raises ConfigError or WorldError; nothing has been written then."""
    gpus = _check_agent(config)
    environment = checked_environment(config)
    train = initial_states(config, environment, "train")
    heldout = in_turns(initial_states(config, environment, "heldout"))[: config.training.heldout_states]
    arms = arms_of(config)
    planned_rollout(config, train, 1, arms[0].seed)
    static = load_static(config.static_data) if config.static_data.fraction else None
    if static is not None:
        require_labels(static, [True] if config.command == "train-ei" else [True, False])
    given = _given(config.training.start_from, config.run.out, environment) if config.training.start_from is not None else None
    return Training(config, environment, rules_from(config, environment.file), train, heldout, arms, static, given, gpus)


def arms_of(config: TrainConfig) -> list[Arm]:
    """The training runs that a configuration asks for: each seed, and after each its control where one is wanted."""
    seeds = config.training.seeds or [config.seed]
    by_lot = config.selection.method == "random"
    if len(seeds) == 1 and not config.training.control:
        return [Arm("", seeds[0], by_lot, Path("."))]
    arms = []
    for seed in seeds:
        arms.append(Arm(f"seed-{seed}", seed, by_lot, Path(f"seed-{seed}")))
        if config.training.control:
            arms.append(Arm(f"seed-{seed}-control", seed, True, Path(f"seed-{seed}-control")))
    return arms


def _check_agent(config: TrainConfig) -> list[int]:
    """The agent can be trained, with what this machine has. Returns the trainer's GPUs."""
    agent = parse_model_name(config.models.agent)
    where = f"models.agent = {config.models.agent!r}"
    if agent.scheme in HOSTED_SCHEMES:
        if not isinstance(config, TrainEiConfig):
            raise ConfigError(
                f"{where}: KTO needs the model's weights, and this one is behind an API. `influence train-ei` trains it there."
            )
        if config.static_data.fraction or config.training.start_from:
            raise ConfigError(f"{where}: static data and given trajectories are mixed in for local agents only.")
        OpenAiTuner(agent, config.fine_tuning)
        check_tuned_price(agent, config.hosted, config.budget)
        return []
    if agent.scheme not in LOCAL_SCHEMES:
        raise ConfigError(f"{where}: a scripted agent has nothing to train. Name a local model, such as `embedded`.")
    trainer = config.trainer
    gpus = _trainer_gpus(config)
    devices = launch(trainer, gpus, Path("."), Path("job.json")).devices
    accumulation(trainer.batch_size, trainer.device_batch_size, devices, least=2 if config.command == "train-kto" else 1)
    if missing := missing_packages(trainer):
        raise ConfigError(f"these settings need packages that are not installed: pip install {' '.join(missing)}")
    return gpus


def _trainer_gpus(config: TrainConfig) -> list[int]:
    own = config.trainer.distributed.gpus
    if own is None:
        return pool_gpus(config.engine)
    try:
        return choose_gpus(own, visible_gpus() if own else [])
    except ConfigError as error:
        raise ConfigError(f"trainer.distributed.gpus: {error}") from None


def heldout_addresses(environment: Environment) -> set[str]:
    return {state.address for state in environment.initial_states if state.split == "heldout"}


def trainable(trajectory: TrajectoryRecord, heldout: Collection[str]) -> bool:
    """Whether a trajectory is of a `train` state, and still is: an environment may have been split anew since it was held."""
    t = trajectory
    return t.split == "train" and f"{t.environment}/{t.scenario}/{t.kind}/{t.state}" not in heldout


def _given(name: str, out: str, environment: Environment) -> Path:
    """The trajectories of a run, by its folder or its name, or a file of them. Raises ConfigError for what cannot be trained on here."""
    places = [path / TRAJECTORIES if is_folder(path) else path for path in (Path(name), Path(out) / name)]
    file = next((path for path in places if is_file(path)), None)
    if file is None:
        raise ConfigError(
            f"training.start_from: there are no trajectories at {places[0]}, nor at {places[1]}. Name a run of `influence simulate`, or its {TRAJECTORIES}."
        )
    try:
        there = list(read_trajectories(file.parent, file.name))
    except RunError as error:
        raise ConfigError(f"training.start_from: {error}") from None
    except OSError as error:
        raise ConfigError(f"training.start_from: {file} cannot be read: {error.strerror}.") from None
    if twice := next((key for key, count in Counter(t.key for t in there).items() if count > 1), None):
        raise ConfigError(f"training.start_from: {file} has the conversation {twice} more than once.")
    heldout = heldout_addresses(environment)
    usable = [t for t in there if trainable(t, heldout)]
    if not usable:
        raise ConfigError(
            f"training.start_from: {file} has no conversation from a `train` state, and training never sees others."
        )
    if others := sorted({t.environment for t in usable} - {environment.name}):
        raise ConfigError(
            f"training.start_from: {file} is of the environment {others[0]}, and `environment.name` is {environment.name}."
        )
    return file
