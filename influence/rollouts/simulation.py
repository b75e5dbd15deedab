"""`influence simulate`: from a checked configuration to a finished run folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from influence.config.commands import SimulateConfig
from influence.engines.sharing import tree_of
from influence.environments.world import Environment
from influence.rollouts.books import environment_facts, opened, record_sources, run_sinks
from influence.rollouts.cast import Rules, rules_from
from influence.rollouts.conversation import converse
from influence.rollouts.draws import Planned
from influence.rollouts.preparing import checked_environment, initial_states, planned_rollout, tokens_each
from influence.rollouts.progress import Progress
from influence.rollouts.reading import TRAJECTORIES, parse_trajectory
from influence.rollouts.rollout import Rollout
from influence.rollouts.tally import Tally, by_model
from influence.runs.folder import RunFolder


@dataclass(frozen=True)
class Simulation:
    """Everything that can be checked before a model is started or a file is written."""

    config: SimulateConfig
    environment: Environment
    planned: list[Planned]
    rules: Rules


@dataclass(frozen=True)
class Outcome:
    """What a simulation came to."""

    tally: Tally
    progress: Progress
    summary: dict[str, Any]
    too_many_failed: bool


def prepare(config: SimulateConfig) -> Simulation:
    """Load and check everything. Raises ConfigError or WorldError; nothing has been written then."""
    environment = checked_environment(config)
    states = initial_states(config, environment, config.environment.split)
    planned = planned_rollout(config, states, config.rollout.iteration, config.seed)
    return Simulation(config, environment, planned, rules_from(config, environment.file))


async def simulate(simulation: Simulation, run: RunFolder, progress: Progress) -> Outcome:
    """Run the simulation into its folder, or go on with it. Raises EngineError or RunError when it cannot be finished."""
    config, tally = simulation.config, Tally()

    # 1. what an earlier attempt has finished stays
    rollout = Rollout(run.path / TRAJECTORIES, simulation.planned, progress, parse_trajectory, tally.add)
    sinks = run_sinks(config, run.path)
    try:
        # 2. start the models
        async with opened(config, run, progress) as engines:
            record_sources(run, engines.describe(), environment_facts(simulation.environment))
            at_once = config.rollout.in_flight or engines.conversations_at_once(tokens_each(simulation.rules))
            # 3. roll out
            seconds = await rollout.run(
                lambda p: converse(p, simulation.environment, engines.roles, simulation.rules, progress), at_once
            )
            progress.phase = "writing"
            run.record(models=engines.describe())  # again, with what was learned of them
        # 4. put the records in the plan's order and sum up
        rollout.sort()
        outcome = _outcome(simulation, tally, progress, run, seconds)
        sinks.log(config.rollout.iteration, _metrics(outcome.summary))
        run.write_summary(outcome.summary)
        if outcome.too_many_failed:
            run.status, run.error = "failed", "too many conversations failed"
        return outcome
    finally:
        sinks.close()
        rollout.close()


def _outcome(simulation: Simulation, tally: Tally, progress: Progress, run: RunFolder, seconds: float) -> Outcome:
    seed, calls, models = simulation.config.seed, run.path / "calls.jsonl", simulation.config.by_role()
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
