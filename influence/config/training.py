"""The sections that training adds to a simulation: what is selected, how it is trained on, and what is measured."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from influence.config.places import Strict
from influence.config.sections import Fraction, Positive

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def _parts(value: Any) -> Any:
    """`"1/16"` as 0.0625; what is no fraction of two whole numbers is left for the type check."""
    if isinstance(value, str):
        above, slash, below = value.partition("/")
        if slash and above.strip().isdecimal() and below.strip().isdecimal() and int(below):
            return int(above) / int(below)
    return value


Share = Annotated[float, BeforeValidator(_parts), Field(ge=0, le=1)]


def _no_twins(seeds: list[int]) -> list[int]:
    if len(set(seeds)) != len(seeds):
        raise ValueError("a seed stands there twice.")
    return seeds


class VetoSection(Strict):
    """[selection.veto]: what the influence judge keeps out. A threshold is a mean influence, 0..1; none: no veto."""

    positives: Fraction | None = None  # a trajectory above it is never a good example
    negatives: Fraction | None = None  # nor, above this one, a bad example
    as_negatives: bool = False  # what is vetoed as a good example becomes a bad one (KTO)


class SelectionSection(Strict):
    """[selection]: which trajectories are trained on."""

    method: Literal["reward", "random"] = "reward"  # random: as many, drawn by lot, for comparison
    best: Share = 1 / 16
    worst: Share = 1 / 16  # expert iteration has no use for it
    within: Literal["state", "scenario", "environment", "all"] = "scenario"  # best and worst of what
    baseline: bool = False  # judge a reward by what its initial state's other trajectories got
    min_margin: Annotated[float, Field(ge=0)] = 0.0  # rating points above (below) the group's median
    veto: VetoSection = VetoSection()


class TrainingSection(Strict):
    """[training]: the loop."""

    iterations: Annotated[int, Field(ge=1, le=1000)] = 3
    heldout_every: Positive = 1  # iterations between two measurements on held-out states; the last one is always measured
    heldout_samples: Positive = 4  # conversations from each held-out initial state
    heldout_states: Positive | None = None  # how many of them; none: all
    kl_replies: Annotated[int, Field(ge=0)] = 32  # held-out replies whose distance from the base model is measured; 0: none
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], AfterValidator(_no_twins)] = []  # several: one arm for each
    control: bool = False  # each seed once more, trained on trajectories drawn by lot
    start_from: str | None = None  # a run, or a trajectories.jsonl: the first iteration's rollout is taken from there


class LoraSection(Strict):
    """[trainer.lora]"""

    rank: Literal[1, 2, 4, 8, 16, 32, 64, 128, 256] = 16
    alpha: Annotated[float, Field(gt=0)] = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    rslora: bool = True  # scale by alpha / sqrt(rank) (Kalajdzievski 2023) and not by alpha / rank
    modules: Annotated[list[str], Field(min_length=1)] = PROJECTIONS


class KtoSection(Strict):
    """[trainer.kto]"""

    beta: Annotated[float, Field(gt=0)] = 0.1
    target_ratio: Annotated[float, Field(gt=0)] = 1.05  # weight of all good examples over that of all bad ones
    reference: Literal["base", "previous"] = "previous"  # what the agent is held to: the first model, or its last self


class DistributedSection(Strict):
    """[trainer.distributed]: several GPUs."""

    strategy: Literal["auto", "single", "ddp", "fsdp", "deepspeed"] = "auto"  # auto: ddp where there are several GPUs
    zero_stage: Literal[1, 2, 3] = 2
    offload: bool = False  # optimizer state (ZeRO 3, FSDP: parameters too) in main memory
    gpus: list[Annotated[int, Field(ge=0)]] | None = None  # none: the engine's


class TrainerSection(Strict):
    """[trainer]: one iteration's training."""

    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    lr_decay: Annotated[float, Field(gt=0, le=1)] = 0.9  # times this, each iteration
    epochs: Positive = 1
    batch_size: Positive = 16  # rows an optimizer step, over all devices
    device_batch_size: Positive = 8  # rows on one device at a time; what is missing is accumulated
    max_length: Positive | None = None  # tokens; longer rows are left out and counted; none: the engine's
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    gradient_checkpointing: bool | None = None  # none: on GPUs
    base_bits: Literal[4, 8] | None = None  # the frozen base in 4 or 8 bits (bitsandbytes, GPUs)
    lora: LoraSection = LoraSection()
    kto: KtoSection = KtoSection()
    distributed: DistributedSection = DistributedSection()


class StaticDataSection(Strict):
    """[static_data]: preference data of others, mixed into every iteration's rows."""

    fraction: Annotated[float, BeforeValidator(_parts), Field(ge=0, lt=1)] = 0.0  # of all rows
    source: str | None = None  # a file (.jsonl, .json, .parquet), or a hub name
    split: str = "train"  # of a hub's data
    format: Literal["auto", "hh-rlhf", "pku-saferlhf", "unpaired", "paired"] = "auto"
    prefer: Literal["better", "safer"] = "better"  # PKU-SafeRLHF says both


class FineTuningSection(Strict):
    """[fine_tuning]: a hosted agent, trained by its provider (expert iteration only)."""

    poll_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    hours: Annotated[float, Field(gt=0, le=72)] = 6.0  # how long a job may take before it is given up
    epochs: Positive | None = None  # none: trainer.epochs
    learning_rate_multiplier: Annotated[float, Field(gt=0)] | None = None  # none: the provider's own choice
