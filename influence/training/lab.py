"""What all arms of a training run share while it runs: engines, trainer, progress, sinks; and how the agent is exchanged in them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from influence.config.model_names import parse_model_name
from influence.engines.digests import full_digest
from influence.engines.opening import Engines, RoleModel
from influence.engines.vllm import VllmEngine
from influence.errors import RunError
from influence.rollouts.conversation import converse
from influence.rollouts.draws import Planned
from influence.rollouts.pages import conversation_page
from influence.rollouts.preparing import tokens_each
from influence.rollouts.progress import Progress
from influence.rollouts.reading import parse_trajectory
from influence.rollouts.records import TrajectoryRecord
from influence.rollouts.rollout import Rollout
from influence.runs.folder import RunFolder
from influence.runs.metrics import Sinks
from influence.stats import Estimate
from influence.training.datasets import imitation_rows
from influence.training.iterations import Agent, IterationFolder
from influence.training.jobs import ScoringJob, Steps, TrainingJob
from influence.training.measures import divergence, initial_state
from influence.training.preparing import Training
from influence.training.rows import write_rows
from influence.training.trainer import LocalTrainer
from influence.training.tuning_prices import require_price


@dataclass
class Lab:
    """The open engines and the trainer, and everything that is written while they work."""

    training: Training
    run: RunFolder
    engines: Engines
    trainer: LocalTrainer
    progress: Progress
    sinks: Sinks
    logged: int  # lines that the metrics have so far

    @property
    def engine(self) -> VllmEngine | None:
        """The agent's engine where it is a local one."""
        engine = self.engines.roles["agent"].engine
        return engine if isinstance(engine, VllmEngine) else None

    def first_agent(self) -> Agent:
        """The agent before any training."""
        text = self.training.config.models.agent
        adapter = parse_model_name(text).adapter
        if self.engine is None or adapter is None:
            return Agent(text)
        return Agent(text, adapter, full_digest(Path(adapter)))

    async def hand_over(self, agent: Agent) -> None:
        """Make `agent` the one that replies from now on. A new adapter is added to the running engine, the old one removed.

        An adapter that another role of the same engine has too stays.
        """
        engine, before = self.engine, self.engines.roles["agent"]
        if engine is None:
            if agent.name != before.name:
                require_price(agent.name, self.training.config.hosted, self.training.config.budget)
                await self.engines.hosted_role("agent", agent.name)
            return
        if agent.adapter is not None:
            await engine.add_adapter(agent.adapter)
        self.engines.roles["agent"] = RoleModel(engine, agent.adapter, agent.name)
        in_use = {role.adapter for role in self.engines.roles.values() if role.engine is engine}
        if before.adapter is not None and before.adapter not in in_use:
            await engine.remove_adapter(before.adapter)

    async def roll_out(self, path: Path, planned: Sequence[Planned], title: str) -> list[TrajectoryRecord]:
        """Hold the conversations that the journal lacks. Returns all of them, in the plan's order."""
        self.progress.begin(title, "rolling out")
        kept: dict[str, TrajectoryRecord] = {}
        rollout = Rollout(path, planned, self.progress, parse_trajectory, lambda t: kept.__setitem__(t.key, t))
        try:
            if not rollout.complete:
                rules = self.training.rules
                at_once = self.training.config.rollout.in_flight or self.engines.conversations_at_once(tokens_each(rules))
                await rollout.run(
                    lambda p: converse(p, self.training.environment, self.engines.roles, rules, self.progress), at_once
                )
            rollout.sort()
        finally:
            rollout.close()
        return [kept[p.key] for p in planned]

    async def train(self, job: TrainingJob, steps: Path, title: str) -> dict[str, Any]:
        """Train with the engines asleep, every step into `steps`, the panel and the sinks. Returns the trainer's facts."""
        self.progress.begin(title, "training")
        await self.engines.sleep()
        try:
            return (await self.trainer.train(job, self.steps_told(steps))).facts
        finally:
            await self.engines.wake()

    def steps_told(self, path: Path) -> Steps:
        """Takes a trainer's steps: into a new `path`, onto the panel and to the sinks."""
        path.unlink(missing_ok=True)
        *arms, _, number, _ = path.relative_to(self.run.path).parts
        arm = "".join(f"{name}/" for name in arms)
        where: dict[str, float | None] = {f"{arm}trainer/iteration": int(number)}

        def told(line: dict[str, Any]) -> None:
            try:
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"time": time.time(), **line}) + "\n")
            except OSError as error:
                raise RunError(f"{path}: cannot be written: {error.strerror}.") from None
            if "step" in line:
                self.progress.note = step_in_words(line)
                self.log({**where, **{f"{arm}trainer/{name}": value for name, value in line.items()}})

        return told

    def log(self, metrics: dict[str, float | None]) -> None:
        """One line of metrics. Steps only count lines: trackers want them to grow."""
        self.logged += 1
        self.sinks.log(self.logged, metrics)

    def show(self, trajectories: Sequence[TrajectoryRecord], arm: str) -> None:
        """Show the best and the worst liked conversation in trackers that can, beside the metrics that were logged last."""
        rated = sorted((t for t in trajectories if t.reward is not None), key=lambda t: t.reward or 0.0)
        if rated:
            pages = {"best conversation": rated[-1], "worst conversation": rated[0]}
            prefix = f"{arm}/" if arm else ""
            self.sinks.show(self.logged, {f"{prefix}{name}": conversation_page(t) for name, t in pages.items()})

    async def divergence(
        self, trajectories: Sequence[TrajectoryRecord], agent: Agent, folder: Path, seed: int
    ) -> Estimate | None:
        """How far the agent is from its base on its own first replies. None where that cannot be read."""
        engine, count = self.engine, self.training.config.training.kl_replies
        if engine is None or not count or agent.adapter is None:
            return None
        self.progress.phase = "measuring the distance from the base model"
        chosen = spaced([t for t in trajectories if t.turns], count)
        if not chosen:
            return None
        path, tools = folder / "scored.jsonl", self.training.rules.tools
        write_rows(path, [imitation_rows([t], engine.template, tools)[0] for t in chosen])
        device: Literal["cuda", "cpu"] = "cuda" if self.training.gpus else "cpu"
        await self.engines.sleep()
        try:
            job = ScoringJob(engine.model, agent.adapter, str(path), device, self.training.config.trainer)
            ratios = await self.trainer.score(job)
        finally:
            await self.engines.wake()
        path.unlink()
        return divergence([(initial_state(t), *ratio) for t, ratio in zip(chosen, ratios, strict=True)], seed)


def spaced(items: Sequence[TrajectoryRecord], count: int) -> list[TrajectoryRecord]:
    """`count` of the items, evenly spaced over all of them."""
    if len(items) <= count:
        return list(items)
    return [items[n * len(items) // count] for n in range(count)]


def step_in_words(line: dict[str, Any]) -> str:
    """A trainer's step for the panel."""
    words = [f"step {line['step']}" + (f" of {line['steps']}" if "steps" in line else "")]
    words += [f"{name} {line[name]:.3g}" for name in ("loss", "kl", "margin", "grad_norm") if name in line]
    if line.get("tokens_per_second"):
        words.append(f"{line['tokens_per_second']:.0f} tokens/s")
    return ", ".join(words)


@contextmanager
def timed(folder: IterationFolder, phase: str) -> Iterator[None]:
    """Add the time that the block took to the iteration's record, however it ends."""
    began = time.monotonic()
    try:
        yield
    finally:
        folder.took(phase, time.monotonic() - began)
