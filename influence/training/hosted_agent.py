"""An agent behind a provider's fine-tuning API: the same iteration, with the provider as the trainer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from influence.chat import Message, message_from_dict
from influence.config.commands import TrainEiConfig
from influence.config.model_names import parse_model_name
from influence.rollouts.records import TrajectoryRecord
from influence.runs.manifest import write_atomically
from influence.seeds import derive
from influence.training.iterations import Agent, IterationFolder
from influence.training.lab import Lab, timed
from influence.training.openai_tuning import STATE, OpenAiTuner, chat_line, training_file
from influence.training.preparing import Arm


async def train_hosted(
    lab: Lab, arm: Arm, here: IterationFolder, agent: Agent, chosen: Sequence[TrajectoryRecord], title: str
) -> Agent:
    """Have the provider train `agent` on the chosen conversations. Its new model is the agent of the next iteration."""
    config = lab.training.config
    assert isinstance(config, TrainEiConfig)  # checked before the run
    records = [dataset_record(trajectory, lab.training.rules.tools) for trajectory in chosen]
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    if here.state.dataset_digest is None:
        write_atomically(here.dataset, text)
        here.note(dataset_digest=sha256(text.encode()).hexdigest())
    here.check_dataset()
    name = parse_model_name(agent.name)
    tuner = OpenAiTuner(name, config.fine_tuning)
    lab.progress.begin(title, f"training at {name.scheme}")
    try:
        with timed(here, "training"):
            model = await tuner.train(
                base_model=name.base.rpartition("/")[2] if name.scheme == "openai-api" else name.base,
                text=training_file([record["line"] for record in records]),
                epochs=config.trainer.epochs,
                seed=derive(arm.seed, "training", here.number),
                state=here.path / STATE,
                suffix=f"{lab.run.path.name}-{here.number}",
                steps=lab.steps_told(here.steps),
            )
    finally:
        await tuner.close()
    scheme = f"{name.scheme}/{name.base.rpartition('/')[0]}".rstrip("/")
    here.note(trained=model, trained_name=f"{scheme}/{model}", facts={"rows": len(records), "model": model})
    return Agent(f"{scheme}/{model}")


def dataset_record(trajectory: TrajectoryRecord, tools: Sequence[Any]) -> dict[str, Any]:
    """One line of `dataset.jsonl`: the provider's training line, and which replies of which trajectory are trained."""
    messages = [Message("system", trajectory.agent_system), *map(message_from_dict, trajectory.messages)]
    line = chat_line(messages, {turn.reply + 1 for turn in trajectory.turns}, tools)
    return {
        "schema_version": 1,
        "key": f"{trajectory.key}/t{'-'.join(str(n) for n in range(1, len(trajectory.turns) + 1))}",
        "source": "rollout",
        "trajectory": trajectory.key,
        "turns": list(range(1, len(trajectory.turns) + 1)),
        "line": line,
    }
