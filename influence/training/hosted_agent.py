"""An agent behind a provider's fine-tuning API: the same iteration, with the provider as the trainer."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from influence.config.commands import TrainEiConfig
from influence.config.model_names import parse_model_name
from influence.engines.hosted.accounts import model_id, provider_of
from influence.rollouts.records import TrajectoryRecord
from influence.runs.manifest import write_atomically
from influence.seeds import derive
from influence.training.hosted_rows import hosted_rows, read_hosted_rows, training_file
from influence.training.iterations import Agent, IterationFolder
from influence.training.lab import Lab, timed
from influence.training.openai_tuning import LONGEST_SUFFIX, OpenAiTuner
from influence.training.preparing import Arm
from influence.training.tuning_answers import STATE, read_state
from influence.training.tuning_prices import check_tuned_price, require_price


async def train_hosted(
    lab: Lab, arm: Arm, here: IterationFolder, agent: Agent, chosen: Sequence[TrajectoryRecord], title: str
) -> Agent:
    """Have the provider train `agent` on the chosen conversations. Its new model is the agent of the next iteration.

    Raises TrainerError, and ConfigError where a maximum of dollars is set and nobody has said what the new model costs.
    """
    config = lab.training.config
    assert isinstance(config, TrainEiConfig)  # checked before the run
    # the dataset is written once: training that is tried again is training on the same rows
    if here.state.dataset_digest is None:
        with timed(here, "selecting"):
            text = "".join(f"{row.model_dump_json()}\n" for row in hosted_rows(chosen, lab.training.rules.tools))
            write_atomically(here.dataset, text)
            here.note(dataset_digest=sha256(text.encode()).hexdigest())
    here.check_dataset()
    lines = [row.line for row in read_hosted_rows(here.dataset)]
    name = parse_model_name(agent.name)
    check_tuned_price(name, config.hosted, config.budget)
    tuner = OpenAiTuner(name, config.fine_tuning)
    progress, provider, state = lab.progress, provider_of(name), here.path / STATE
    progress.begin(title, f"training at {provider}")

    def noted(words: str) -> None:
        progress.note = words

    training = training_file(lines)
    try:
        with timed(here, "training"):
            model = await tuner.train(
                base_model=model_id(name),
                text=training,
                epochs=config.trainer.epochs,
                seed=derive(arm.seed, "training", here.number),
                state=state,
                suffix=suffix_of(lab.run.path.name, arm.name, here.number),
                steps=lab.steps_told(here.steps),
                note=noted,
            )
    finally:
        await tuner.close()
    made = Agent(f"{provider}/{model}")
    require_price(made.name, config.hosted, config.budget)
    held = read_state(state, sha256(training.encode()).hexdigest(), model_id(name))
    facts = {"rows": len(lines), "model": model, "job": held.job, "trained_tokens": held.trained_tokens}
    # the provider's work is waited for, so that the wait over all attempts is the trainer's own time
    here.note(trained=model, trained_name=made.name, facts=facts | {"seconds": here.state.seconds["training"]})
    return made


def suffix_of(run: str, arm: str, iteration: int) -> str:
    """What the provider puts into the new model's name: the run, shortened where need be, the arm, and the iteration."""
    end = f"-{arm}-{iteration}" if arm else f"-{iteration}"
    return run[: LONGEST_SUFFIX - len(end)] + end
