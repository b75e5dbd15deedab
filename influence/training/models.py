"""The model that is trained: a frozen base with a LoRA adapter, loaded and saved as PEFT has it. Lives in the trainer's process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from peft.helpers import disable_input_dtype_casting
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, set_seed
from transformers.integrations import is_deepspeed_zero3_enabled
from trl.trainer import utils as trl_utils

from influence.config.training import LoraSection, TrainerSection
from influence.training.jobs import ScoringJob, TrainingJob
from influence.training.rows import Row

ADAPTER = "default"
EAGER_TOKENS = 768  # on a CPU, plain attention is quicker than torch's fused one up to here; beyond, it wants too much memory


def load(job: TrainingJob, longest: int) -> tuple[Any, Any]:
    """The base model with its adapter, ready for rows of up to `longest` tokens: the adapter to go on from, or a new one."""
    set_seed(job.seed)
    settings = job.settings
    tokenizer = AutoTokenizer.from_pretrained(job.model)
    base = load_base(job.model, job.device, settings, longest)
    zero_3 = is_deepspeed_zero3_enabled()
    if settings.base_bits and not zero_3:  # PEFT's guide to DeepSpeed: ZeRO 3 takes care of what this prepares
        base = prepare_model_for_kbit_training(base, use_gradient_checkpointing=checkpointing(job))
    cast = {"autocast_adapter_dtype": False} if zero_3 and not settings.base_bits else {}  # ZeRO 3 wants one type for all
    if job.start is not None:
        return PeftModel.from_pretrained(base, job.start, is_trainable=True, **cast), tokenizer
    return get_peft_model(base, lora_config(settings.lora), **cast), tokenizer


def load_base(model: str, device: str, settings: TrainerSection, longest: int) -> Any:
    """The frozen base model. Of several processes each loads it onto its own GPU, where it is quantized."""
    return AutoModelForCausalLM.from_pretrained(
        model,
        dtype=dtype_of(settings.dtype),
        quantization_config=_quantization(settings.base_bits),
        device_map={"": int(os.environ.get("LOCAL_RANK", "0"))} if settings.base_bits else None,
        attn_implementation="eager" if device == "cpu" and longest <= EAGER_TOKENS else None,
    )


def log_ratios(job: ScoringJob, rows: Sequence[Row]) -> list[tuple[float, int]]:
    """For each row, the sum of log p_adapter - log p_base over its trained tokens, and how many those are."""
    base = load_base(job.model, job.device, job.settings, max(len(row.token_ids) for row in rows))
    model = PeftModel.from_pretrained(base.to(job.device) if not job.settings.base_bits else base, job.adapter).eval()
    found = []
    with torch.inference_mode(), torch.autocast(job.device, torch.bfloat16, enabled=job.settings.dtype != "float32"):
        for row in rows:
            own = _trained_logprob(model, row, job.device)
            with model.disable_adapter():
                found.append((own - _trained_logprob(model, row, job.device), row.trained_tokens))
    return found


def _trained_logprob(model: Any, row: Row, device: str) -> float:
    """The log-probability of a row's trained tokens, each given all that stands before it."""
    ids = torch.tensor([row.token_ids], device=device)
    places = [place for start, end in row.trained for place in range(start, end)]
    kept = len(row.token_ids) - places[0] + 1  # the logits of the token before the first trained one are needed too
    logits = model(input_ids=ids, logits_to_keep=kept).logits[0].float()
    offset = len(row.token_ids) - kept
    logprobs = torch.log_softmax(logits, dim=-1)
    return float(sum(logprobs[place - 1 - offset, row.token_ids[place]] for place in places))


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
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_quant_storage=torch.bfloat16,  # stored as floats, so that ZeRO 3 can shard them
        bnb_4bit_use_double_quant=True,
    )
