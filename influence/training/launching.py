"""How the trainer process is started: one process on one device, or one for each GPU under `accelerate launch`.

Pure: what has to lie beside the job is returned as text, and nothing is imported, written or started here. So whatever
cannot work is refused with the configuration in hand, before a model is loaded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any, Literal

from influence.config.training import DistributedSection, TrainerSection
from influence.errors import ConfigError

Strategy = Literal["single", "ddp", "fsdp", "deepspeed"]

WORKER = "influence.training.worker"
ACCELERATE = "accelerate.json"
DEEPSPEED = "deepspeed.json"
LEAST_GPUS: dict[Strategy, int] = {"single": 0, "ddp": 2, "fsdp": 2, "deepspeed": 1}  # one GPU and main memory: ZeRO can


@dataclass(frozen=True)
class Launch:
    """A process to be started. `files` are written beside the job first."""

    command: tuple[str, ...]
    environment: Mapping[str, str]  # added to the process's own
    files: Mapping[str, str]  # name -> text
    devices: int
    stays: bool  # on the CPU: one process that reads the paths of its jobs from stdin, and not one process a job


def launch(trainer: TrainerSection, gpus: Sequence[int], folder: Path, job: Path, python: str = sys.executable) -> Launch:
    """How to start the trainer on `gpus` (none: the CPU) with its files in `folder`. Raises ConfigError."""
    strategy = strategy_for(trainer.distributed, gpus)
    _check_bits(trainer, strategy, gpus)
    if not gpus:
        return Launch((python, "-m", WORKER, "--stay"), {"CUDA_VISIBLE_DEVICES": ""}, {}, devices=1, stays=True)
    used = gpus[:1] if strategy == "single" else gpus
    accumulation(trainer.batch_size, trainer.device_batch_size, len(used))
    order = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # nvidia-smi's numbers, which CUDA's own order need not follow
    environment = {"CUDA_VISIBLE_DEVICES": ",".join(map(str, used)), **order}
    if strategy == "single":
        return Launch((python, "-m", WORKER, str(job)), environment, {}, devices=1, stays=False)
    files = {ACCELERATE: _text(accelerate_config(trainer, strategy, len(used), folder))}
    if strategy == "deepspeed":
        files[DEEPSPEED] = _text(deepspeed_config(trainer))
    started_by = (python, "-m", "accelerate.commands.launch", "--config_file", str(folder / ACCELERATE))
    return Launch((*started_by, "-m", WORKER, str(job)), environment, files, devices=len(used), stays=False)


def strategy_for(section: DistributedSection, gpus: Sequence[int]) -> Strategy:
    """What `auto` stands for, or what was asked for. Raises ConfigError where the GPUs do not allow it."""
    if len(set(gpus)) != len(gpus):
        raise ConfigError(f"the trainer's GPUs {', '.join(map(str, gpus))} name a device twice: see `trainer.distributed.gpus`.")
    strategy: Strategy
    if section.strategy == "auto":
        strategy = "ddp" if len(gpus) > 1 else "single"
    else:
        strategy = section.strategy
    if len(gpus) < LEAST_GPUS[strategy]:
        there = f"has {len(gpus)}" if gpus else "runs on the CPU"
        raise ConfigError(
            f'`trainer.distributed.strategy = "{strategy}"` needs {LEAST_GPUS[strategy]} or more GPUs, and the trainer {there}: '
            'name more in `trainer.distributed.gpus`, or set the strategy to "auto".'
        )
    if section.offload and strategy not in ("fsdp", "deepspeed"):
        raise ConfigError(
            f"`trainer.distributed.offload` has no effect with the strategy `{strategy}`, which keeps everything on its device: "
            'set `trainer.distributed.strategy` to "deepspeed" or "fsdp", or leave `offload` away.'
        )
    return strategy


def accumulation(batch_size: int, device_batch_size: int, devices: int, least: int = 1) -> tuple[int, int]:
    """The rows one device takes at a time, and how often it does so before a step: their product over all devices is
    exactly `batch_size`.

    The first is the largest number up to `device_batch_size` with which that holds. Raises ConfigError where none does,
    or none of `least` rows or more (KTO needs two: it estimates its reference point from other rows on the same device).
    """
    share, rest = divmod(batch_size, devices)
    if rest:
        raise ConfigError(
            f"`trainer.batch_size` {batch_size} cannot be split over {devices} GPUs: make it a multiple of {devices}, "
            f"such as {devices * max(share, least)}, or name other GPUs in `trainer.distributed.gpus`."
        )
    rows = max(size for size in range(1, min(share, device_batch_size) + 1) if share % size == 0)
    if rows < least:
        together = max(least, min(share, device_batch_size))
        remedy = f"set `trainer.batch_size` to {devices * together * ceil(share / together)}"
        if device_batch_size < least:
            remedy += f" and `trainer.device_batch_size` to {least}"
        raise ConfigError(
            f"`trainer.batch_size` {batch_size} over {devices} device(s) leaves {rows} row(s) at a time, and this method "
            f"needs {least}: {remedy}."
        )
    return rows, share // rows


def missing_packages(trainer: TrainerSection) -> list[str]:
    """The packages that these settings need beyond the ones that are always installed, and that are not there."""
    needed = {"deepspeed": trainer.distributed.strategy == "deepspeed", "bitsandbytes": trainer.base_bits is not None}
    return [package for package, wanted in needed.items() if wanted and find_spec(package) is None]


def _check_bits(trainer: TrainerSection, strategy: Strategy, gpus: Sequence[int]) -> None:
    """Refuse a quantized base model where it cannot be trained on. bitsandbytes works wherever each GPU holds it whole.

    FSDP 2 leaves such weights out of its shards (each GPU would hold them all, as with ddp) or, stored as floats, loses what
    is needed to decode them. ZeRO 3 shards 4-bit weights that are stored as floats (PEFT's guide to DeepSpeed), not 8-bit
    ones, which are integers.
    """
    if trainer.base_bits is None:
        return
    asked = f"`trainer.base_bits = {trainer.base_bits}`"
    if not gpus:
        raise ConfigError(f"{asked} needs a GPU, and the trainer runs on the CPU: leave it away.")
    if strategy == "fsdp":
        raise ConfigError(
            f'{asked} does not go with `trainer.distributed.strategy = "fsdp"`, which cannot shard quantized weights: '
            'set the strategy to "ddp", or leave `base_bits` away.'
        )
    if strategy == "deepspeed" and trainer.distributed.zero_stage == 3 and trainer.base_bits == 8:
        raise ConfigError(
            f"{asked} does not go with `trainer.distributed.zero_stage = 3`, which cannot shard 8-bit weights: "
            "set `trainer.base_bits = 4`, or `trainer.distributed.zero_stage = 2`."
        )


def accelerate_config(trainer: TrainerSection, strategy: Strategy, devices: int, folder: Path) -> dict[str, Any]:
    """What `accelerate launch` reads. Port 0 is a free one, so that several runs can train on one machine."""
    kinds = {"ddp": "MULTI_GPU", "fsdp": "FSDP", "deepspeed": "DEEPSPEED"}
    config: dict[str, Any] = {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": kinds[strategy],
        "num_machines": 1,
        "machine_rank": 0,
        "num_processes": devices,
        "gpu_ids": "all",
        "main_process_port": 0,
        "use_cpu": False,
    }
    if strategy == "deepspeed":
        # Accelerate refuses a file of DeepSpeed's own beside a precision, a stage or an offload here.
        own = {"deepspeed_config_file": str(folder / DEEPSPEED), "zero3_init_flag": trainer.distributed.zero_stage == 3}
        return config | {"deepspeed_config": own}
    config["mixed_precision"] = "bf16" if _in_bfloat16(trainer) else "no"
    if strategy == "fsdp":
        config["fsdp_config"] = fsdp_config(trainer)
    return config


def fsdp_config(trainer: TrainerSection) -> dict[str, Any]:
    """FSDP 2: parameters are sharded one by one, so frozen and trained ones may share a layer, as LoRA needs.

    What FSDP 1 needed for that (`use_orig_params`, PEFT's own wrapping policy) must be left away. The layers to wrap are
    the ones the model's class names. Checkpointing of activations is the trainer's (`gradient_checkpointing`): accelerate
    refuses it twice.
    """
    return {
        "fsdp_version": 2,
        "fsdp_reshard_after_forward": True,
        "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "fsdp_state_dict_type": "FULL_STATE_DICT",  # the adapter is saved whole
        "fsdp_offload_params": trainer.distributed.offload,
        "fsdp_cpu_ram_efficient_loading": True,  # one process reads the weights from disk and sends them to the others
        "fsdp_activation_checkpointing": False,
    }


def deepspeed_config(trainer: TrainerSection) -> dict[str, Any]:
    """DeepSpeed's own file. `auto` is filled in by transformers from the training arguments."""
    stage, offload = trainer.distributed.zero_stage, trainer.distributed.offload
    zero: dict[str, Any] = {"stage": stage, "overlap_comm": True, "contiguous_gradients": True}
    if stage == 3:
        zero |= {
            "reduce_bucket_size": "auto",
            "stage3_prefetch_bucket_size": "auto",
            "stage3_param_persistence_threshold": "auto",
            "stage3_gather_16bit_weights_on_model_save": True,
        }
    if offload:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
        if stage == 3:
            zero["offload_param"] = {"device": "cpu", "pin_memory": True}
    config: dict[str, Any] = {
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "bf16": {"enabled": _in_bfloat16(trainer)},
        "fp16": {"enabled": False},
        "zero_optimization": zero,
    }
    if offload:
        config["zero_force_ds_cpu_optimizer"] = False  # its own optimizer is compiled on first use; an adapter's is small
    return config


def _in_bfloat16(trainer: TrainerSection) -> bool:
    return trainer.dtype != "float32"  # `auto` is bfloat16


def _text(config: Mapping[str, Any]) -> str:
    return json.dumps(config, indent=2) + "\n"
