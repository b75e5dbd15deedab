"""`influence simulate`: from a checked configuration to a finished run folder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from influence.config.commands import SimulateConfig
from influence.engines.base import CallObserver
from influence.engines.calls import CallLog
from influence.engines.hosted.models import HostedModels
from influence.engines.opening import Engines, check_models, has_logprobs, needs_conversion
from influence.engines.sharing import tree_of
from influence.environments.loading import load_environment
from influence.environments.schema import EnvironmentFile
from influence.environments.world import Environment, InitialState, influence_wording
from influence.errors import ConfigError, RunTakenError, not_allowed
from influence.rollouts.books import budget_left, kept_books
from influence.rollouts.cast import JUDGES, Rules, rules_from
from influence.rollouts.conversation import converse
from influence.rollouts.draws import Planned, plan
from influence.rollouts.progress import Progress
from influence.rollouts.reading import TRAJECTORIES, parse_trajectory
from influence.rollouts.records import TrajectoryRecord
from influence.rollouts.scheduler import run_all
from influence.rollouts.tally import Tally, by_model
from influence.runs.folder import RunFolder
from influence.runs.journal import Journal
from influence.runs.metrics import JsonlSink, MetricSink, Sinks, WandbSink

FRAME_TOKENS = 100  # what prompts hold besides the talk and what conversations share: opening, persona, questions
FILLED = 0.7  # replies are on average shorter than they may be
CONTEXTS = 3  # the agent's, the user's and the judges' view of one conversation


@dataclass(frozen=True)
class Simulation:
    """Everything that can be checked before a model is started or a file is written."""

    config: SimulateConfig
    environment: Environment
    planned: list[Planned]
    rules: Rules

    @property
    def tokens_each(self) -> int:
        """About how many tokens of cache one conversation wants, in all its views."""
        talk = self.rules.turn_limit * (self.rules.agent_sampling.max_tokens + self.rules.user_sampling.max_tokens)
        return int(CONTEXTS * (FRAME_TOKENS + FILLED * talk))


@dataclass(frozen=True)
class Outcome:
    """What a simulation came to."""

    tally: Tally
    progress: Progress
    summary: dict[str, Any]
    too_many_failed: bool


def prepare(config: SimulateConfig) -> Simulation:
    """Load and check everything. Raises ConfigError or WorldError; nothing has been written then."""
    models = config.models.by_role()
    check_models(models, config.engine, config.hosted, config.budget)
    for role in JUDGES:
        if config.judges.method == "logprobs" and not has_logprobs(models[role], config.hosted):
            raise ConfigError(
                f'judges.method = "logprobs": {models[role]}, the {role} judge, has none. Set "samples", "stated" or "auto".'
            )
    environment = load_environment(config.environment.name)
    _check_wordings(config, environment.file)
    states = _states(config, environment)
    rollout = config.rollout
    planned = plan(
        states,
        rollout.conversations,
        rollout.samples,
        rollout.states,
        rollout.iteration,
        config.seed,
        config.environment.kinds or None,
    )
    return Simulation(config, environment, planned, rules_from(config, environment.file))


def _states(config: SimulateConfig, environment: Environment) -> list[InitialState]:
    """The initial states that the configuration asks for."""
    section = config.environment
    for name in section.scenarios:
        if name not in environment.scenarios:
            raise ConfigError(
                f"environment.scenarios: {environment.name} has no scenario `{name}`. {not_allowed(name, sorted(environment.scenarios))}"
            )
    states = [
        state
        for state in environment.initial_states
        if (not section.scenarios or state.scenario in section.scenarios) and section.split in ("all", state.split)
    ]
    if not states:
        raise ConfigError(
            f"environment: {environment.name} has no initial state of the split `{section.split}` in these scenarios."
        )
    return states


def _check_wordings(config: SimulateConfig, world: EnvironmentFile) -> None:
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


async def simulate(simulation: Simulation, run: RunFolder, progress: Progress) -> Outcome:
    """Run the simulation into its folder, or go on with it. Raises EngineError or RunError when it cannot be finished."""
    config, tally = simulation.config, Tally()

    def keep(line: str) -> None:
        tally.add(parse_trajectory(line, f"{run.path / TRAJECTORIES}, line {tally.whole.conversations + 1}"))

    # 1. what an earlier attempt has finished stays
    journal = Journal(run.path / TRAJECTORIES, keep)
    sinks = _sinks(config, run.path)
    try:
        open_jobs = [p for p in simulation.planned if p.key not in journal.keys]
        progress.kept = len(simulation.planned) - len(open_jobs)
        progress.turns, progress.failed = tally.whole.turns, tally.whole.failed
        # 2. start the models
        with _call_log(config, run.path) as observe:
            if needs_conversion(config.models.by_role()):
                progress.phase = "converting the embedded model, once"
            hosted = HostedModels(config.hosted, budget_left(config.budget, run))
            engines = await asyncio.to_thread(Engines, config.models.by_role(), config.engine, observe, hosted)
            progress.phase, progress.hosted = "starting the engine", hosted.counts
            async with engines, kept_books(run, engines, hosted, progress):
                _record_sources(run, engines.describe(), _environment_facts(simulation.environment))
                at_once = config.rollout.in_flight or engines.conversations_at_once(simulation.tokens_each)
                # 3. roll out
                progress.start_rollout()

                async def hold(planned: Planned) -> TrajectoryRecord:
                    progress.running += 1
                    try:
                        return await converse(planned, simulation.environment, engines.roles, simulation.rules, progress)
                    finally:
                        progress.running -= 1

                def finished(trajectory: TrajectoryRecord) -> None:
                    journal.append(trajectory.key, trajectory.model_dump_json())
                    tally.add(trajectory)
                    progress.finish(trajectory)

                await run_all(open_jobs, hold, finished, at_once)
                seconds = progress.seconds
                progress.phase = "writing"
                run.record(models=engines.describe())  # again, with what was learned of them
        # 4. put the records in the plan's order and sum up
        journal.sort([p.key for p in simulation.planned])
        outcome = _outcome(simulation, tally, progress, run, seconds)
        sinks.log(config.rollout.iteration, _metrics(outcome.summary))
        run.write_summary(outcome.summary)
        if outcome.too_many_failed:
            run.status, run.error = "failed", "too many conversations failed"
        return outcome
    finally:
        sinks.close()
        journal.close()


@contextmanager
def _call_log(config: SimulateConfig, folder: Path) -> Iterator[CallObserver | None]:
    if not config.tracking.log_calls:
        yield None
        return
    log = CallLog(folder / "calls.jsonl")
    try:
        yield log.write
    finally:
        log.close()


def _sinks(config: SimulateConfig, folder: Path) -> Sinks:
    sinks: list[MetricSink] = [JsonlSink(folder / "metrics.jsonl")]
    if config.tracking.wandb != "off":
        sinks.append(WandbSink(config.tracking.wandb, config.tracking.project, folder, config.model_dump(mode="json")))
    return Sinks(*sinks)


def _record_sources(run: RunFolder, models: dict[str, Any], environment: dict[str, Any]) -> None:
    """Write what the numbers come from into the manifest. Raises RunTakenError if an earlier attempt had other texts or weights."""
    before = run.manifest
    changed = [
        role for role, now in models.items() if before.models and before.models.get(role, {}).get("digest") != now["digest"]
    ]
    if before.environment and before.environment["digest"] != environment["digest"]:
        changed.insert(0, f"environment {environment['name']}")
    if changed:
        raise RunTakenError(
            f"the run {run.path} was begun with other files ({', '.join(changed)} changed since), and one journal holds one experiment. "
            "Undo the change, or choose another --name."
        )
    run.record(models=models, environment=environment)


def _environment_facts(environment: Environment) -> dict[str, Any]:
    return {"name": environment.name, "digest": environment.digest, "initial_states": len(environment.initial_states)}


def _outcome(simulation: Simulation, tally: Tally, progress: Progress, run: RunFolder, seconds: float) -> Outcome:
    seed, calls, models = simulation.config.seed, run.path / "calls.jsonl", simulation.config.models.by_role()
    failed = tally.whole.failed / max(1, tally.whole.conversations)
    generated = sum(used.completion_tokens for used in progress.usage.values())
    summary: dict[str, Any] = {
        "schema_version": 1,
        "command": "simulate",
        "run": str(run.path),
        "conversations": len(simulation.planned),
        "whole": tally.whole.to_dict(seed),
        "groups": [
            {"scenario": scenario, "kind": kind, **group.to_dict(seed)}
            for (scenario, kind), group in sorted(tally.groups.items())
        ],
        "usage": {role: {"model": models[role], **used.to_dict()} for role, used in sorted(tally.usage.items())},
        "usage_by_model": {model: used.to_dict() for model, used in by_model(tally.usage, models).items()},
        "hosted": dict(progress.hosted()),
        "spent": {name: sum(a.spent.get(name, 0) for a in run.manifest.attempts) for name in ("cost", "tokens")},
        "this_attempt": {
            "conversations": progress.done,
            "seconds": seconds,
            "generated_tokens_per_second": generated / seconds if seconds > 0 else None,
            "cache_hit_rate": progress.cache_hit_rate,
        },
        "computed_over_least_tokens": tree_of(calls).ratio if calls.is_file() else None,
    }
    return Outcome(tally, progress, summary, failed > simulation.config.rollout.max_failed)


def _metrics(summary: dict[str, Any]) -> dict[str, float | None]:
    """The summary's numbers under flat names, as trackers want them."""
    metrics: dict[str, float | None] = {}
    for prefix, group in [("", summary["whole"]), *((f"{g['scenario']}/{g['kind']}/", g) for g in summary["groups"])]:
        for name in ("preference", "influence", "reward"):
            for part in ("value", "low", "high", "n"):
                metrics[f"{prefix}{name}.{part}"] = group[name][part]
        metrics[f"{prefix}conversations"], metrics[f"{prefix}failed"] = group["conversations"], group["failed"]
    return metrics
