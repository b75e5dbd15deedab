"""One arm of a training run: roll out, select, train, hand over, measure, again. Every phase that is done already is passed by."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from influence.config.commands import TrainConfig
from influence.errors import TrainerError
from influence.rollouts.reading import HELDOUT, TRAJECTORIES, parse_trajectory, read_trajectories
from influence.rollouts.records import TrajectoryRecord
from influence.runs.journal import read_lines
from influence.runs.manifest import write_atomically
from influence.seeds import derive
from influence.training.datasets import imitation_rows, liking_rows, static_row
from influence.training.hosted_agent import train_hosted
from influence.training.iterations import Agent, IterationFolder, IterationState
from influence.training.jobs import TrainingJob
from influence.training.lab import Lab, timed
from influence.training.measures import influence_of, measure, paired_change, reward_of
from influence.training.preparing import Arm, heldout_addresses, trainable
from influence.training.rows import Row, read_rows, write_rows
from influence.training.selection import (
    NEGATIVES,
    POSITIVES,
    Selected,
    candidate,
    counts,
    read_selection,
    select,
    write_selection,
)
from influence.training.static_data import draw


@dataclass(frozen=True)
class ArmResult:
    """The metrics of every measured iteration, the untrained agent's first, and the records of all iterations."""

    measured: list[dict[str, Any]]
    states: list[IterationState]


async def train_arm(lab: Lab, arm: Arm, twin: Arm | None) -> ArmResult:
    """Train one agent.

    `twin` is an arm with the same seed that has been trained before: what it did with the untrained agent is taken over.
    """
    training, root = lab.training, lab.run.path / arm.folder
    agent = lab.first_agent()
    await lab.hand_over(agent)
    if twin is not None:
        _take_over(lab.run.path / twin.folder, root, agent)
    # 0. measure the untrained agent, to compare with
    baseline = IterationFolder(root, 0, agent)
    measured, folders = [await measured_on_heldout(lab, arm, baseline, agent, None)], [baseline]
    for number in range(1, training.config.training.iterations + 1):
        here = IterationFolder(root, number, agent)
        folders.append(here)
        title = f"{arm.name or 'iteration'} {number} of {training.config.training.iterations}"
        made = here.trained_agent(training.config.models.agent.partition(":")[0])
        if made is None:
            # 1. roll out with the newest agent
            trajectories = await rolled_out(lab, arm, here, title)
            # 2. select the best and the worst, veto
            selected = selected_from(lab, arm, here, trajectories)
            # 3. train on them
            made = await trained(lab, arm, here, agent, trajectories, selected, title)
        # 4. hand the new agent to the running engine
        with timed(here, "handing over"):
            await lab.hand_over(made)
        agent = made
        # 5. measure on held-out states
        if number % training.config.training.heldout_every == 0 or number == training.config.training.iterations:
            measured.append(await measured_on_heldout(lab, arm, here, agent, baseline.heldout))
    return ArmResult(measured, [folder.state for folder in folders])


async def rolled_out(lab: Lab, arm: Arm, here: IterationFolder, title: str) -> list[TrajectoryRecord]:
    """The trajectories of this iteration, all from `train` states."""
    given = lab.training.given if here.number == 1 else None
    if given is not None and not here.state.rolled_out:
        lines, heldout = list(read_lines(given)), heldout_addresses(lab.training.environment)
        usable = [line for line in lines if trainable(parse_trajectory(line, str(given)), heldout)]
        write_atomically(here.trajectories, "".join(usable))
        return noted(here, list(read_trajectories(here.path)), left_out=len(lines) - len(usable))
    if here.state.rolled_out:
        return list(read_trajectories(here.path))
    with timed(here, "rolling out"):
        planned = lab.training.rollout_plan(arm, here.number)
        trajectories = await lab.roll_out(here.trajectories, planned, title)
    return noted(here, trajectories)


def noted(here: IterationFolder, trajectories: list[TrajectoryRecord], left_out: int = 0) -> list[TrajectoryRecord]:
    """The rollout is whole: write that down."""
    failed = sum(t.failed for t in trajectories)
    here.note(rolled_out=True, conversations=len(trajectories), failed=failed, left_out=left_out)
    return trajectories


def selected_from(lab: Lab, arm: Arm, here: IterationFolder, trajectories: Sequence[TrajectoryRecord]) -> list[Selected]:
    """The selection, made once: what a later attempt finds on disk stands."""
    if here.selection.is_file():
        return list(read_selection(here.selection))
    rule = lab.training.config.selection
    if arm.control:
        rule = rule.model_copy(update={"method": "random"})
    if lab.training.config.command == "train-ei":
        rule = rule.model_copy(update={"worst": 0.0})
    selected = select(map(candidate, trajectories), rule, derive(arm.seed, "selection", here.number))
    write_selection(here.selection, selected)
    return selected


async def trained(
    lab: Lab,
    arm: Arm,
    here: IterationFolder,
    agent: Agent,
    trajectories: Sequence[TrajectoryRecord],
    selected: Sequence[Selected],
    title: str,
) -> Agent:
    """The agent that this iteration's training makes of `agent`."""
    config = lab.training.config
    good = {one.key: True for one in selected if one.verdict in POSITIVES}
    bad = {one.key: False for one in selected if one.verdict in NEGATIVES}
    if not good:
        raise TrainerError(
            f"{here.path}: no trajectory was selected to train on ({', '.join(f'{n} {what}' for what, n in counts(selected).items())}). "
            f"{here.selection} has the reason for each."
        )
    labels = good | bad
    chosen = [t for t in trajectories if t.key in labels]
    if lab.engine is None:
        return await train_hosted(lab, arm, here, agent, chosen, title)
    # the dataset is written once: training that is tried again is training on the same rows
    if here.state.dataset_digest is None:
        with timed(here, "selecting"):
            rows = dataset_rows(lab, arm, here, chosen, labels)
            here.note(dataset_digest=write_rows(here.dataset, rows))
    here.check_dataset()
    with timed(here, "training"):
        facts = await lab.train(training_job(lab, arm, here, agent), here.steps, title)
    here.note(facts=facts)
    here.keep_adapter()
    made = here.trained_agent(config.models.agent.partition(":")[0])
    assert made is not None  # it has just been written
    return made


def dataset_rows(
    lab: Lab, arm: Arm, here: IterationFolder, chosen: Sequence[TrajectoryRecord], labels: dict[str, bool]
) -> list[Row]:
    """This iteration's rows: the agent's own, and the share of static data."""
    training, engine = lab.training, lab.engine
    assert engine is not None
    template, tools = engine.template, training.rules.tools
    if training.config.command == "train-ei":
        rows = imitation_rows(chosen, template, tools)
        wanted = None
    else:
        rows = liking_rows(chosen, labels, template, tools)
        wanted = {label: sum(row.label is label for row in rows) for label in (True, False)}
    if training.static is None:
        return rows
    before = [_static_counts(here, number) for number in range(1, here.number)]
    drawn = draw(
        training.static, len(rows), training.config.static_data.fraction, wanted, arm.seed, here.number - 1, earlier=before
    )
    return rows + [static_row(e.key, e.prompt, e.completion, e.label if wanted else None, template) for e in drawn]


def _static_counts(here: IterationFolder, number: int) -> dict[bool, int]:
    """How many good and bad static examples an earlier iteration was given."""
    rows = [row for row in read_rows(here.path.parent / f"{number:03d}" / here.dataset.name) if row.source == "static"]
    return {True: sum(row.label is not False for row in rows), False: sum(row.label is False for row in rows)}


def training_job(lab: Lab, arm: Arm, here: IterationFolder, agent: Agent) -> TrainingJob:
    """What the trainer is told: the learning rate falls with every iteration, training goes on from the agent as it is."""
    config: TrainConfig = lab.training.config
    engine = lab.engine
    assert engine is not None
    return TrainingJob(
        method="ei" if config.command == "train-ei" else "kto",
        iteration=here.number,
        model=engine.model,
        start=agent.adapter,
        dataset=str(here.dataset),
        out=str(here.partial),
        seed=derive(arm.seed, "training", here.number) % 2**31,
        learning_rate=config.trainer.learning_rate * config.trainer.lr_decay ** (here.number - 1),
        max_length=config.trainer.max_length or config.engine.max_model_len,
        device="cuda" if lab.training.gpus else "cpu",
        settings=config.trainer,
    )


async def measured_on_heldout(lab: Lab, arm: Arm, here: IterationFolder, agent: Agent, baseline: Path | None) -> dict[str, Any]:
    """The metrics of an agent: on held-out states, of its training, and how it changed since the baseline, pair by pair."""
    if here.metrics.is_file():
        return dict(json.loads(here.metrics.read_text(encoding="utf-8")))
    title = f"{arm.name or 'iteration'} {here.number} of {lab.training.config.training.iterations}, held out"
    with timed(here, "rolling out held-out states"):
        trajectories = await lab.roll_out(here.heldout, lab.training.heldout_plan(arm), title)
    with timed(here, "measuring"):
        threshold = lab.training.config.selection.veto.positives
        metrics: dict[str, Any] = {
            "iteration": here.number,
            "agent": agent.name,
            "agent_digest": agent.digest,
            "heldout": measure(trajectories, threshold, arm.seed),
        }
        distance = await lab.divergence(trajectories, agent, here.path, arm.seed)
        metrics["heldout"]["kl_to_base"] = distance.to_dict() if distance is not None else None
        if baseline is not None:
            before = list(read_trajectories(baseline.parent, baseline.name))
            metrics["change"] = {
                name: paired_change(before, trajectories, value, arm.seed).to_dict()
                for name, value in (("reward", reward_of), ("influence", influence_of))
            }
        if here.number:
            rollout = list(read_trajectories(here.path))
            metrics["train"] = {**measure(rollout, threshold, arm.seed), "left_out": here.state.left_out}
            metrics["selection"] = counts(read_selection(here.selection))
            metrics["trainer"] = here.state.facts
    lab.log(flat(metrics, arm.name))  # first: a kill in between has it logged twice, the other way round it never would be
    lab.show(trajectories, arm.name)
    write_atomically(here.metrics, json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
    return metrics


def flat(metrics: dict[str, Any], arm: str) -> dict[str, float | None]:
    """The metrics under flat names, as trackers want them."""
    found: dict[str, float | None] = {}

    def walk(value: Any, name: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{name}/{key}" if name else key)
        elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            found[name] = value

    walk(metrics, arm)
    return found


def _take_over(twin: Path, root: Path, agent: Agent) -> None:
    """Copy what the twin did with the untrained agent: the same seeds would only say the same again."""
    for number, name in ((0, HELDOUT), (1, TRAJECTORIES)):
        here = IterationFolder(root, number, agent)
        source, target = IterationFolder(twin, number, agent).path / name, here.path / name
        if not target.exists():
            partial = target.with_suffix(".partial")
            shutil.copyfile(source, partial)
            partial.rename(target)
