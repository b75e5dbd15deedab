"""One configuration a command. The registry is what `influence presets`, `influence config` and the commands share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from influence.config.places import Clash, Strict
from influence.config.sections import (
    BudgetSection,
    EngineSection,
    EnvironmentSection,
    HostedSection,
    JudgesSection,
    ModelsSection,
    RewardSection,
    RolesSampling,
    RolloutSection,
    RunSection,
    TrackingSection,
)


class CommandConfig(Strict):
    """What every command's configuration has."""

    command: str
    description: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    run: RunSection = RunSection()
    tracking: TrackingSection = TrackingSection()

    def numbers(self) -> CommandConfig:
        """This configuration without what makes no numbers: where a run is kept, what it may spend, how patient it is.

        Two attempts with the same numbers are attempts at the same run.
        """
        return self.model_copy(update={"run": RunSection()})


class SimulateConfig(CommandConfig):
    """`influence simulate`: simulated users talk to an agent, and every reply is scored."""

    command: Literal["simulate"] = "simulate"
    environment: EnvironmentSection = EnvironmentSection()
    models: ModelsSection = ModelsSection()
    sampling: RolesSampling = RolesSampling()
    judges: JudgesSection = JudgesSection()
    rollout: RolloutSection = RolloutSection()
    reward: RewardSection = RewardSection()
    engine: EngineSection = EngineSection()
    hosted: HostedSection = HostedSection()
    budget: BudgetSection = BudgetSection()

    def numbers(self) -> CommandConfig:
        hosted = HostedSection(catalogue=self.hosted.catalogue)
        return self.model_copy(update={"run": RunSection(), "hosted": hosted, "budget": BudgetSection()})

    @model_validator(mode="after")
    def _combinations_make_sense(self) -> SimulateConfig:
        longest = max(self.sampling.agent.max_tokens, self.sampling.user.max_tokens)
        if longest >= self.engine.max_model_len:
            raise Clash(
                f"`sampling` asks for {longest} tokens a reply, but `engine.max_model_len` is {self.engine.max_model_len}.",
                ("sampling", "agent", "max_tokens"),
                ("sampling", "user", "max_tokens"),
                ("engine", "max_model_len"),
            )
        if self.judges.preference.scope == "conversation" and self.reward.over == "last":
            raise Clash(
                '`reward.over = "last"` needs a rating for every turn, but `judges.preference.scope` is "conversation".',
                ("reward", "over"),
                ("judges", "preference", "scope"),
            )
        if self.rollout.samples > self.rollout.conversations:
            raise Clash(
                f"`rollout.samples` is {self.rollout.samples}, more than the {self.rollout.conversations} `rollout.conversations`.",
                ("rollout", "samples"),
                ("rollout", "conversations"),
            )
        if self.engine.gpus is not None and len(set(self.engine.gpus)) != len(self.engine.gpus):
            raise Clash("`engine.gpus` names a device twice.", ("engine", "gpus"))
        if self.engine.gpus and len(self.engine.gpus) % self.engine.tensor_parallel:
            raise Clash(
                f"{len(self.engine.gpus)} GPUs cannot be split into groups of `engine.tensor_parallel` = {self.engine.tensor_parallel}.",
                ("engine", "gpus"),
                ("engine", "tensor_parallel"),
            )
        return self


COMMANDS: dict[str, type[CommandConfig]] = {"simulate": SimulateConfig}
