"""The model that is trained: a frozen base with a LoRA adapter, loaded and saved as PEFT has it. Lives in the trainer's process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from peft.helpers import disable_input_dtype_casting
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, set_seed
from trl.trainer import utils as trl_utils

from influence.config.training import LoraSection
from influence.training.jobs import TrainingJob

ADAPTER = "default"
EAGER_TOKENS = 768  # on a CPU, plain attention is quicker than torch's fused one up to here; beyond, it wants too much memory


def load(job: TrainingJob, longest: int) -> tuple[Any, Any]:
    """The base model with its adapter, ready for rows of up to `longest` tokens: the adapter to go on from, or a new one."""
    set_seed(job.seed)
    settings = job.settings
    tokenizer = AutoTokenizer.from_pretrained(job.model)
    base = AutoModelForCausalLM.from_pretrained(
        job.model,
        dtype=dtype_of(settings.dtype),
        quantization_config=_quantization(settings.base_bits),
        attn_implementation="eager" if job.device == "cpu" and longest <= EAGER_TOKENS else None,
    )
    if settings.base_bits:
        base = prepare_model_for_kbit_training(base, use_gradient_checkpointing=checkpointing(job))
    if job.start is not None:
        return PeftModel.from_pretrained(base, job.start, is_trainable=True), tokenizer
    return get_peft_model(base, lora_config(settings.lora)), tokenizer


def lora_config(lora: LoraSection) -> LoraConfig:
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        use_rslora=lora.rslora,
        target_modules=list(lora.modules),
        task_type="CAUSAL_LM",
    )


def dtype_of(name: str) -> torch.dtype:
    """`auto` is bfloat16, on CPUs too: the base is frozen, and the adapter is kept in float32 whatever the base is."""
    return torch.float32 if name == "float32" else torch.bfloat16


def checkpointing(job: TrainingJob) -> bool:
    """Whether activations are computed twice to save memory: on GPUs, unless the configuration says otherwise."""
    wanted = job.settings.gradient_checkpointing
    return job.device == "cuda" if wanted is None else wanted


@contextmanager
def quick_on_cpu(model: Any, job: TrainingJob) -> Iterator[None]:
    """Training at a CPU's speed, six times that of the libraries' defaults (measured: 624 tokens/s against 100).

    Autocast does its products in bfloat16 while the adapter stays in float32, so PEFT need not cast every layer's input;
    and TRL need not put prompt tokens, which nothing is learned from, through the output layer, as it does without Triton.
    """
    if job.device != "cpu" or job.settings.dtype == "float32":
        yield
        return
    if not hasattr(trl_utils, "_use_triton"):
        raise AttributeError("this version of TRL chooses the tokens that it scores another way")
    before, trl_utils._use_triton = trl_utils._use_triton, lambda _: True
    try:
        with disable_input_dtype_casting(model):
            yield
    finally:
        trl_utils._use_triton = before


def adapter_norm(model: Any) -> float:
    """A number that changes with any trained weight: the sum of squares of the adapter's parameters."""
    return float(sum(p.detach().double().square().sum() for p in model.parameters() if p.requires_grad))


def save(trainer: Any, folder: Path) -> None:
    """Save the trained adapter, and it alone: the reference that KTO may hold is not part of the agent."""
    accelerator = trainer.accelerator
    state = accelerator.get_state_dict(trainer.model_wrapped)
    model = accelerator.unwrap_model(trainer.model)
    if accelerator.is_main_process:
        model.save_pretrained(folder, selected_adapters=[ADAPTER], state_dict=state)
    accelerator.wait_for_everyone()


def _quantization(bits: int | None) -> Any:
    if bits is None:
        return None
    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16, bnb_4bit_use_double_quant=True
    )
