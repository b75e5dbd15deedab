"""How the trainer is started, read back by the programs that will read it: accelerate's parsers and plugins, as far as they
go without GPUs and without DeepSpeed."""

from __future__ import annotations

import json
import os
import re
from argparse import Namespace
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from influence.config.training import DistributedSection, TrainerSection
from influence.errors import ConfigError
from influence.training import launching
from influence.training.launching import Launch, accumulation, launch, missing_packages, strategy_for

FOLDER = Path("/runs/mine/iterations/003")
JOB = FOLDER / "job.json"
SIZES = st.integers(1, 96)


def settings(**keys) -> TrainerSection:
    return TrainerSection.model_validate(keys)


def distributed(strategy: str, **keys) -> dict:
    return {"distributed": {"strategy": strategy, **keys}}


def started(folder: Path = FOLDER, gpus: tuple[int, ...] = (0, 1), **keys) -> Launch:
    return launch(settings(**keys), gpus, folder, folder / "job.json", python="python3")


@contextmanager
def environment(variables: dict[str, str]):
    """Nothing but `variables` and what a process needs to find its way."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    with patch.dict(os.environ, kept | variables, clear=True):
        yield


def understood(one: Launch, folder: Path) -> Namespace:
    """What `accelerate launch` makes of a command and of the files that lie beside the job."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    for name, text in one.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    assert one.command[:3] == ("python3", "-m", "accelerate.commands.launch")
    with environment(dict(one.environment)):
        arguments, defaults, precision_from_file = _validate_launch_command(launch_command_parser().parse_args(one.command[3:]))
    arguments.deepspeed_fields_from_accelerate_config = ",".join(
        [*defaults.deepspeed_config, *["mixed_precision"] * precision_from_file]
    )
    return arguments


# --- which processes


def test_a_cpu_gets_one_process_that_stays_and_sees_no_gpu():
    one = launch(settings(), [], FOLDER, JOB, python="python3")
    assert one.command == ("python3", "-m", "influence.training.worker", "--stay")
    assert (one.environment, one.files, one.devices, one.stays) == ({"CUDA_VISIBLE_DEVICES": ""}, {}, 1, True)


@pytest.mark.parametrize(("strategy", "gpus"), [("auto", (3,)), ("single", (3,)), ("single", (3, 1))])
def test_a_single_gpu_gets_a_process_for_the_job_that_sees_that_gpu_alone(strategy, gpus):
    one = started(gpus=gpus, **distributed(strategy))
    assert one.command == ("python3", "-m", "influence.training.worker", str(JOB))
    assert one.environment == {"CUDA_VISIBLE_DEVICES": "3", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert (one.files, one.devices, one.stays) == ({}, 1, False)


@pytest.mark.parametrize("strategy", ["auto", "ddp", "fsdp", "deepspeed"])
def test_several_gpus_get_a_process_each_from_the_launcher(strategy, tmp_path):
    one = started(tmp_path, gpus=(2, 0, 5, 4), **distributed(strategy))
    seen = understood(one, tmp_path)
    assert one.environment == {"CUDA_VISIBLE_DEVICES": "2,0,5,4", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert (seen.module, seen.training_script) == (True, "influence.training.worker")
    assert seen.training_script_args == [str(tmp_path / "job.json")]
    assert (seen.num_processes, seen.num_machines, seen.gpu_ids, one.devices, one.stays) == (4, 1, "all", 4, False)
    kind = (seen.multi_gpu, seen.use_fsdp, seen.use_deepspeed)
    assert kind == (strategy in ("auto", "ddp"), strategy == "fsdp", strategy == "deepspeed")


def test_the_configuration_is_one_that_accelerate_has_all_keys_of(tmp_path):
    from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file

    for strategy in ("ddp", "fsdp", "deepspeed"):
        (tmp_path / launching.ACCELERATE).write_text(started(**distributed(strategy)).files[launching.ACCELERATE])
        config = load_config_from_file(str(tmp_path / launching.ACCELERATE))  # raises ValueError for a key it does not have
        assert isinstance(config, ClusterConfig)
        assert config.distributed_type.value == {"ddp": "MULTI_GPU", "fsdp": "FSDP", "deepspeed": "DEEPSPEED"}[strategy]
        assert config.to_dict()["num_processes"] == 2


def test_each_launcher_takes_a_free_port_of_its_own(tmp_path):
    from accelerate.utils.launch import prepare_multi_gpu_env

    ports = []
    for _ in range(2):
        seen = understood(started(tmp_path), tmp_path)
        with environment({}), patch("accelerate.utils.launch.get_free_port", side_effect=[40_000 + len(ports)]):
            prepare_multi_gpu_env(seen)
        ports.append(seen.master_port)
    assert ports == ["40000", "40001"]


# --- what the workers find


@pytest.mark.parametrize(("dtype", "precision"), [("auto", "bf16"), ("bfloat16", "bf16"), ("float32", "no")])
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_the_precision_is_the_configured_one(strategy, dtype, precision, tmp_path):
    from accelerate.utils.launch import prepare_multi_gpu_env

    seen = understood(started(tmp_path, dtype=dtype, **distributed(strategy)), tmp_path)
    with environment({}):
        assert prepare_multi_gpu_env(seen)["ACCELERATE_MIXED_PRECISION"] == precision


@pytest.mark.parametrize("offload", [False, True])
def test_fsdp_shards_layers_and_saves_whole_states(offload, tmp_path):
    from accelerate.utils import FullyShardedDataParallelPlugin
    from accelerate.utils.launch import prepare_multi_gpu_env
    from torch.distributed.fsdp import CPUOffloadPolicy, StateDictType
    from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy

    seen = understood(started(tmp_path, **distributed("fsdp", offload=offload)), tmp_path)
    with environment({}):
        variables = prepare_multi_gpu_env(seen)
    assert variables["ACCELERATE_USE_FSDP"] == "true"
    with environment(variables), patch("accelerate.utils.dataclasses.logger.warning") as warned:
        plugin = FullyShardedDataParallelPlugin()
    assert not warned.called  # nothing of FSDP 1 is left
    assert (plugin.fsdp_version, plugin.reshard_after_forward) == (2, True)
    assert plugin.auto_wrap_policy is transformer_auto_wrap_policy
    assert plugin.transformer_cls_names_to_wrap is None  # then the model's own class says it
    assert plugin.state_dict_type == StateDictType.FULL_STATE_DICT
    assert isinstance(plugin.cpu_offload, CPUOffloadPolicy) is offload
    assert plugin.cpu_ram_efficient_loading is True
    assert plugin.activation_checkpointing is False


ZERO = [(stage, offload) for stage in (1, 2, 3) for offload in (False, True)]


@pytest.mark.parametrize(("stage", "offload"), ZERO)
def test_deepspeed_is_told_its_stage_and_what_it_offloads(stage, offload, tmp_path):
    from accelerate.utils.dataclasses import DeepSpeedPlugin
    from accelerate.utils.launch import prepare_deepspeed_cmd_env

    seen = understood(started(tmp_path, **distributed("deepspeed", zero_stage=stage, offload=offload)), tmp_path)
    with environment({}):
        _, variables = prepare_deepspeed_cmd_env(seen)
    assert variables["ACCELERATE_USE_DEEPSPEED"] == "true"
    with environment(variables):
        plugin = DeepSpeedPlugin()  # raises ValueError for a key that stands in both files
    assert plugin.zero_stage == stage
    assert plugin.zero3_init_flag is (stage == 3)
    assert plugin.zero3_save_16bit_model is (stage == 3)
    assert plugin.offload_optimizer_device == ("cpu" if offload else "none")
    assert plugin.offload_param_device == ("cpu" if offload and stage == 3 else "none")
    assert plugin.hf_ds_config.is_zero3() is (stage == 3)


@pytest.mark.parametrize(("stage", "offload"), ZERO)
@pytest.mark.parametrize(("dtype", "in_bfloat16"), [("auto", True), ("bfloat16", True), ("float32", False)])
def test_transformers_fills_every_auto_with_what_the_trainer_was_told(stage, offload, dtype, in_bfloat16):
    section = settings(dtype=dtype, **distributed("deepspeed", zero_stage=stage, offload=offload))
    told = Namespace(
        world_size=2,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        max_grad_norm=0.7,
        learning_rate=2e-5,
        adam_beta1=0.9,
        adam_beta2=0.999,
        adam_epsilon=1e-8,
        weight_decay=0.0,
        save_on_each_node=False,
        fp16=False,
        fp16_full_eval=False,
        bf16=in_bfloat16,
        bf16_full_eval=False,
        get_warmup_steps=lambda steps: 0,
    )
    filled = filled_in(launching.deepspeed_config(section), told)
    assert "auto" not in json.dumps(filled)
    assert (filled["train_batch_size"], filled["train_micro_batch_size_per_gpu"]) == (16, 4)
    assert (filled["gradient_accumulation_steps"], filled["gradient_clipping"]) == (2, 0.7)
    assert (filled["bf16"]["enabled"], filled["fp16"]["enabled"]) == (in_bfloat16, False)
    assert filled.get("zero_force_ds_cpu_optimizer", True) is not offload


def filled_in(config: dict, told: Namespace) -> dict:
    """transformers' own rules, on accelerate's reader of the file. Its class wants DeepSpeed to be installed; the rules do not."""
    from accelerate.utils.deepspeed import HfDeepSpeedConfig
    from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig as Rules

    taken = ("fill_match", "fill_only", "is_auto", "trainer_config_process", "trainer_config_finalize")
    reader = type("Reader", (HfDeepSpeedConfig,), {name: Rules.__dict__[name] for name in taken})(config)
    reader.mismatches = []
    reader.trainer_config_process(told)
    model = Namespace(config=Namespace(hidden_size=64))
    reader.trainer_config_finalize(told, model, num_training_steps=10)  # raises ValueError where file and trainer disagree
    return reader.config


# --- the strategy


@pytest.mark.parametrize(("gpus", "strategy"), [([], "single"), ([0], "single"), ([0, 1], "ddp"), (range(8), "ddp")])
def test_auto_is_ddp_where_there_are_several_gpus(gpus, strategy):
    assert strategy_for(DistributedSection(), gpus) == strategy


@pytest.mark.parametrize("strategy", ["single", "ddp", "fsdp", "deepspeed"])
def test_a_strategy_that_was_asked_for_is_taken(strategy):
    assert strategy_for(DistributedSection(strategy=strategy), [0, 1]) == strategy


@pytest.mark.parametrize(("strategy", "least"), [("ddp", 2), ("fsdp", 2), ("deepspeed", 1)])
def test_too_few_gpus_are_refused_with_the_number_that_is_needed(strategy, least):
    section = DistributedSection(strategy=strategy)
    assert strategy_for(section, range(least)) == strategy
    for count in range(least):
        with pytest.raises(ConfigError, match=f"(?s){strategy}.* needs {least} or more GPUs.*trainer.distributed.gpus"):
            strategy_for(section, range(count))


def test_a_gpu_that_is_named_twice_is_refused():
    with pytest.raises(ConfigError, match="0, 1, 0 name a device twice"):
        strategy_for(DistributedSection(), [0, 1, 0])


@pytest.mark.parametrize(("strategy", "gpus"), [("auto", []), ("auto", [0]), ("single", [0]), ("auto", [0, 1]), ("ddp", [0, 1])])
def test_offloading_that_would_have_no_effect_is_refused(strategy, gpus):
    with pytest.raises(ConfigError, match=r"offload.*deepspeed.*fsdp"):
        strategy_for(DistributedSection(strategy=strategy, offload=True), gpus)


# --- the batch


@given(SIZES, SIZES, st.integers(1, 8), st.integers(1, 3))
def test_a_batch_is_split_exactly_with_as_many_rows_at_a_time_as_may_be(share, device_batch_size, devices, least):
    possible = [size for size in range(least, min(share, device_batch_size) + 1) if share % size == 0]
    if not possible:
        with pytest.raises(ConfigError):
            accumulation(share * devices, device_batch_size, devices, least)
        return
    rows, steps = accumulation(share * devices, device_batch_size, devices, least)
    assert rows * steps * devices == share * devices
    assert rows == max(possible)


@given(st.integers(1, 96), SIZES, st.integers(1, 8), st.integers(1, 3))
def test_the_batch_that_a_refusal_proposes_is_accepted(batch_size, device_batch_size, devices, least):
    for _ in range(2):  # one remedy for the split, one for the rows
        try:
            rows, _ = accumulation(batch_size, device_batch_size, devices, least)
        except ConfigError as error:
            proposed = re.search(r"(?:such as|`trainer.batch_size` to) (\d+)", str(error))
            batch_size = int(proposed.group(1))
            if proposed := re.search(r"device_batch_size` to (\d+)", str(error)):
                device_batch_size = int(proposed.group(1))
    rows, _ = accumulation(batch_size, device_batch_size, devices, least)
    assert rows >= least


@pytest.mark.parametrize(
    ("batch_size", "device_batch_size", "devices", "split"),
    [(16, 8, 1, (8, 2)), (16, 8, 2, (8, 1)), (16, 8, 4, (4, 1)), (24, 8, 2, (6, 2)), (16, 6, 1, (4, 4)), (7, 4, 1, (1, 7))],
)
def test_batches_by_value(batch_size, device_batch_size, devices, split):
    assert accumulation(batch_size, device_batch_size, devices) == split


def test_a_batch_that_does_not_divide_is_refused_before_anything_starts():
    with pytest.raises(ConfigError, match=r"batch_size` 16 cannot be split over 3 GPUs.*such as 15"):
        started(gpus=(0, 1, 2))
    assert started(gpus=(0, 1, 2), **distributed("single")).devices == 1


# --- a quantized base model, and what is not installed


@pytest.mark.parametrize("bits", [4, 8])
def test_a_quantized_base_goes_where_each_gpu_holds_it_whole(bits):
    assert started(gpus=(0,), base_bits=bits).devices == 1
    assert started(base_bits=bits).devices == 2
    for stage in (1, 2):
        assert started(base_bits=bits, **distributed("deepspeed", zero_stage=stage)).devices == 2


def test_zero_3_shards_4_bit_weights_and_no_8_bit_ones():
    assert started(base_bits=4, **distributed("deepspeed", zero_stage=3)).devices == 2
    with pytest.raises(ConfigError, match=r"base_bits = 8.*zero_stage = 3.*base_bits = 4"):
        started(base_bits=8, **distributed("deepspeed", zero_stage=3))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("gpus", "strategy", "says"), [((), "auto", "needs a GPU"), ((0, 1), "fsdp", '"ddp"')])
def test_a_quantized_base_is_refused_where_it_cannot_be(bits, gpus, strategy, says):
    with pytest.raises(ConfigError, match=f"base_bits = {bits}.*{says}"):
        started(gpus=gpus, base_bits=bits, **distributed(strategy))


def test_missing_packages_are_the_needed_ones_that_are_not_there(monkeypatch):
    both = settings(base_bits=4, **distributed("deepspeed"))
    monkeypatch.setattr(launching, "find_spec", lambda name: None)
    assert missing_packages(both) == ["deepspeed", "bitsandbytes"]
    assert missing_packages(settings(base_bits=8)) == ["bitsandbytes"]
    assert missing_packages(settings(**distributed("fsdp"))) == []
    monkeypatch.setattr(launching, "find_spec", lambda name: object() if name == "deepspeed" else None)
    assert missing_packages(both) == ["bitsandbytes"]
