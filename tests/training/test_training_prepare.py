"""What cannot be trained is refused with one clear message, before a model is started or a file is written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from faking import Place, make_adapter, place

from influence.engines import devices, opening
from influence.engines.devices import Gpu
from influence.errors import ConfigError, InfluenceError
from influence.training import launching, preparing
from influence.training.experiment import prepare
from influence.training.preparing import Training

__all__ = ["place"]

METHODS = ("train-ei", "train-kto")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
        monkeypatch.delenv(name)


def prepared(place: Place, method: str = "train-kto", **sets: Any) -> Training:
    return prepare(place.config(method, **sets))


def refused(place: Place, says: str, method: str = "train-kto", **sets: Any) -> None:
    before = sorted(Path().rglob("*"))
    with pytest.raises(InfluenceError) as refusal:
        prepared(place, method, **sets)
    assert isinstance(refusal.value, ConfigError)
    assert refusal.value.exit_code == 2
    assert says in str(refusal.value)
    assert sorted(Path().rglob("*")) == before
    assert place.stage.diary == []


def gpus(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    there = [Gpu(index, "a GPU", 80.0) for index in range(number)]
    for module in (devices, opening, preparing):
        monkeypatch.setattr(module, "visible_gpus", lambda: there)


# the agent


@pytest.mark.parametrize("method", METHODS)
def test_a_scripted_agent_has_nothing_to_train(place, method):
    Path("script.toml").write_text('[[replies]]\ntexts = ["Fine."]\n[[labels]]\ndistribution = { 5 = 1.0 }\n')
    refused(place, "a scripted agent has nothing to train", method, models__agent="'scripted/script.toml'")


@pytest.mark.parametrize("agent", ["openai/gpt-4.1-nano", "openai-api/mine/model", "anthropic/claude"])
def test_an_agent_behind_an_api_cannot_be_trained_by_kto(place, agent):
    refused(place, "KTO needs the model's weights, and this one is behind an API", models__agent=f"'{agent}'")


def test_a_hosted_agent_has_no_use_for_static_data_or_given_trajectories(place, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    agent = {"models__agent": "'openai/gpt-4.1-nano'"}
    says = "static data and given trajectories are mixed in for local agents only"
    refused(place, says, "train-ei", static_data__fraction=0.5, static_data__source="'x.jsonl'", **agent)
    refused(place, says, "train-ei", training__start_from="'x'", **agent)


def test_a_provider_that_cannot_fine_tune_is_refused(place, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
    refused(place, "anthropic", "train-ei", models__agent="'anthropic/claude'")


def test_a_hosted_agent_needs_its_key(place):
    refused(place, "OPENAI_API_KEY", "train-ei", models__agent="'openai/gpt-4.1-nano'")


def test_an_adapter_to_go_on_from_must_be_one(place):
    refused(place, "is not an adapter folder", models__agent=f"'vllm/{place.base}:nowhere'")


def test_a_base_model_must_be_there(place):
    refused(place, "holds no model (no config.json)", models__agent=f"'vllm/{place.world}'")


def test_local_models_need_vllm(place, monkeypatch):
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    refused(place, "vLLM is not installed")


# devices and packages


@pytest.mark.parametrize(("strategy", "number"), [("ddp", 2), ("fsdp", 2), ("deepspeed", 1)])
def test_several_processes_need_gpus(place, strategy, number):
    refused(
        place, f"needs {number} or more GPUs, and the trainer runs on the CPU", trainer__distributed__strategy=f"'{strategy}'"
    )


def test_one_gpu_is_too_few_for_two_processes(place, monkeypatch):
    gpus(monkeypatch, 1)
    refused(place, "needs 2 or more GPUs, and the trainer has 1", trainer__distributed__strategy="'ddp'", engine__gpus="[0]")


def test_gpus_that_are_not_there_are_refused_before_the_first_rollout(place, monkeypatch):
    gpus(monkeypatch, 0)
    refused(place, "trainer.distributed.gpus: GPU 0 is not there", trainer__distributed__gpus="[0]")
    gpus(monkeypatch, 2)
    refused(place, "trainer.distributed.gpus: GPU 2 is not there", trainer__distributed__gpus="[1, 2]")
    assert prepared(place, trainer__distributed__gpus="[1]").gpus == [1]


def test_the_trainer_has_the_engines_gpus_unless_it_has_its_own(place, monkeypatch):
    gpus(monkeypatch, 4)
    many = {"trainer__batch_size": 16, "trainer__device_batch_size": 4}
    assert prepared(place, engine__gpus="[0, 1]", **many).gpus == [0, 1]
    assert prepared(place, engine__gpus="[0, 1]", trainer__distributed__gpus="[2, 3]", **many).gpus == [2, 3]
    assert prepared(place, engine__gpus="[0, 1]", trainer__distributed__gpus="[]", **many).gpus == []
    assert prepared(place).gpus == []


def test_a_batch_must_be_split_over_the_gpus(place, monkeypatch):
    gpus(monkeypatch, 3)
    refused(place, "cannot be split over 3 GPUs", engine__gpus="[0, 1, 2]", trainer__batch_size=16, trainer__device_batch_size=4)


def test_kto_needs_two_rows_on_each_gpu(place, monkeypatch):
    gpus(monkeypatch, 4)
    settings = {"engine__gpus": "[0, 1, 2, 3]", "trainer__batch_size": 4, "trainer__device_batch_size": 2}
    refused(place, "leaves 1 row(s) at a time, and this method needs 2", **settings)
    assert prepared(place, "train-ei", **settings).gpus == [0, 1, 2, 3]


def test_a_quantized_base_needs_a_gpu_and_its_package(place, monkeypatch):
    refused(place, "needs a GPU, and the trainer runs on the CPU", trainer__base_bits=4)
    gpus(monkeypatch, 1)
    monkeypatch.setattr(launching, "find_spec", lambda name: None)
    refused(place, "pip install bitsandbytes", engine__gpus="[0]", trainer__base_bits=4)
    strategy = {"trainer__distributed__strategy": "'deepspeed'"}
    refused(place, "pip install deepspeed bitsandbytes", engine__gpus="[0]", trainer__base_bits=4, **strategy)


# what is rolled out


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_both_splits_must_have_states(place, split):
    other = "heldout" if split == "train" else "train"
    (place.world / "scenarios" / "ticket.jsonl").unlink()
    (place.world / "scenarios" / "ticket.toml").unlink()
    platform = place.world / "scenarios" / "platform.toml"
    text = platform.read_text().replace('split = "heldout"\n', "").replace('id = "', f'split = "{other}"\nid = "')
    platform.write_text(text)
    refused(place, f"has no initial state of the split `{split}`")


def test_a_kind_of_user_that_nobody_is_is_refused(place):
    refused(place, "no initial state is for the kind of user `angry`", environment__kinds="{angry = 1.0}")


def test_a_plan_has_train_states_in_rollouts_and_held_out_ones_in_measurements(place):
    training = prepared(place, training__heldout_samples=3)
    (arm,) = training.arms
    for iteration in (1, 2):
        assert {planned.initial.split for planned in training.rollout_plan(arm, iteration)} == {"train"}
    plan = training.heldout_plan(arm)
    assert {planned.initial.split for planned in plan} == {"heldout"}
    assert len(plan) == 4 * 3
    assert plan == training.heldout_plan(arm)


def test_fewer_held_out_states_are_shared_by_scenarios_and_kinds(place):
    states = prepared(place, training__heldout_states=3).heldout_states
    assert len({(state.scenario, state.kind) for state in states}) == 3


# configurations that make no sense


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        ({"environment__split": "'train'"}, "training rolls out `train` states and measures on `heldout` ones by itself"),
        ({"environment__split": "'heldout'"}, "leave `environment.split` away"),
        ({"rollout__iteration": 2}, "training counts its iterations itself"),
        ({"selection__best": 0}, "there would be no good example to train on"),
        ({"selection__best": 0.7, "selection__worst": 0.4}, "sum to 1.1, more than all there is"),
        ({"judges__influence__enabled": "false", "selection__veto__positives": 0.5}, "a veto needs the influence judge"),
        ({"judges__influence__enabled": "false", "selection__veto__negatives": 0.5}, "a veto needs the influence judge"),
        ({"selection__veto__as_negatives": "true"}, "needs a threshold"),
        ({"static_data__fraction": 0.5}, "`static_data.fraction` needs data"),
        ({"static_data__fraction": 1, "static_data__source": "'x.jsonl'"}, "static_data.fraction"),
        ({"trainer__batch_size": 5}, "is no multiple of"),
        ({"trainer__device_batch_size": 1}, "must be 2 or more"),
        ({"training__control": "true", "selection__method": "'random'"}, '`selection.method` is "random" already'),
        ({"training__seeds": "[1, 1]"}, "a seed stands there twice"),
        ({"training__iterations": 0}, "training.iterations"),
        ({"training__heldout_every": 0}, "training.heldout_every"),
        ({"trainer__lora__rank": 7}, "trainer.lora.rank"),
    ],
)
def test_settings_that_contradict_each_other(place, sets, says):
    refused(place, says, **sets)


def test_expert_iteration_has_no_bad_examples_to_make_of_vetoed_ones(place):
    sets = {"selection__veto__as_negatives": "true", "selection__veto__positives": 0.5}
    refused(place, "expert iteration has no bad examples", "train-ei", **sets)
    assert prepared(place, **sets)


# static data


def pairs(path: Path, label: bool) -> str:
    path.write_text(json.dumps({"prompt": "One?", "completion": "Yes.", "label": label}) + "\n")
    return f"'{path}'"


def test_static_data_must_have_the_labels_that_are_needed(place, tmp_path):
    good, bad = (pairs(tmp_path / f"{label}.jsonl", label) for label in (True, False))
    half = {"static_data__fraction": 0.5}
    refused(place, "all its examples are good ones, but bad ones are needed", static_data__source=good, **half)
    refused(place, "all its examples are bad ones, but good ones are needed", static_data__source=bad, **half)
    refused(place, "all its examples are bad ones, but good ones are needed", "train-ei", static_data__source=bad, **half)
    assert prepared(place, "train-ei", static_data__source=good, **half).static


def test_static_data_are_read_before_anything_else_is_done(place):
    refused(place, "there is no such file", static_data__fraction=0.5, static_data__source="'nowhere.jsonl'")


def test_static_data_without_a_share_are_not_read(place):
    assert prepared(place, static_data__source="'nowhere.jsonl'").static is None


# given trajectories


@pytest.fixture
def given(place: Place) -> Path:
    """Trajectories of a run that was there before."""
    before = place.train(run__out="'given'", training__iterations=1)
    place.stage.diary.clear()
    return before.folder(1) / "trajectories.jsonl"


def test_given_trajectories_are_a_file_or_a_folder_with_one(place, given):
    assert prepared(place, training__start_from=f"'{given}'").given == given
    assert prepared(place, training__start_from=f"'{given.parent}'").given == given
    by_name = prepared(place, training__start_from=f"'{given.parent.name}'", run__out=f"'{given.parent.parent}'")
    assert by_name.given == given
    assert prepared(place).given is None


@pytest.mark.parametrize("name", ["nowhere", "given", "a" * 5000])
def test_given_trajectories_must_be_there(place, given, name):
    refused(place, "training.start_from: there are no trajectories at ", training__start_from=f"'{name}'")


def test_given_trajectories_must_be_of_a_train_state(place, given):
    refused(place, "has no conversation from a `train` state", training__start_from=f"'{given.parent / 'heldout.jsonl'}'")


def test_given_trajectories_must_be_of_this_environment(place, given):
    given.write_text(given.read_text().replace('"environment":"booth"', '"environment":"kiosk"'))
    refused(place, "is of the environment kiosk, and `environment.name` is booth", training__start_from=f"'{given}'")


def test_given_trajectories_of_states_that_are_held_out_now_are_none(place, given):
    one = next(line for line in given.read_text().splitlines(keepends=True) if json.loads(line)["state"].startswith("train-"))
    given.write_text(one)
    beginning, openings = f'{{"id": "{json.loads(one)["state"]}", "split": ', place.world / "scenarios" / "ticket.jsonl"
    assert prepared(place, training__start_from=f"'{given}'").given
    openings.write_text(openings.read_text().replace(f'{beginning}"train"', f'{beginning}"heldout"'))
    refused(place, "has no conversation from a `train` state", training__start_from=f"'{given}'")


def test_a_conversation_that_is_given_twice_is_refused(place, given):
    given.write_text(given.read_text() * 2)
    refused(place, "more than once", training__start_from=f"'{given}'")


@pytest.mark.parametrize("line", [b"hello\n", b'{"key": "a"}\n', b"\n", b"\xff\xfe\n"])
def test_lines_that_are_no_trajectories_are_refused_with_their_place(place, given, line):
    given.write_bytes(given.read_bytes() + line)
    refused(place, "training.start_from: ", training__start_from=f"'{given}'")
    refused(place, f"{given}, line 7", training__start_from=f"'{given}'")


def test_a_last_line_that_was_torn_is_left_out(place, given):
    given.write_bytes(given.read_bytes()[:-100])
    assert prepared(place, training__start_from=f"'{given}'").given == given


# the engine


@pytest.mark.parametrize(("rank", "room"), [(1, 16), (16, 16), (32, 32), (256, 256)])
def test_the_engine_has_room_for_the_rank_that_is_trained(place, rank, room):
    assert prepared(place, trainer__lora__rank=rank).engine.max_lora_rank == room
    assert prepared(place, trainer__lora__rank=rank, engine__max_lora_rank=256).engine.max_lora_rank == 256


def test_the_engine_has_room_for_the_new_adapter_beside_the_old_one_and_those_of_others(place, tmp_path):
    assert prepared(place).engine.max_loras == 2
    assert prepared(place, engine__max_loras=1).engine.max_loras == 2
    assert prepared(place, engine__max_loras=5).engine.max_loras == 5
    one, other = (f"'vllm/{place.base}:{make_adapter(tmp_path / name)}'" for name in ("one", "other"))
    assert prepared(place, models__user=one, models__judge=other, models__agent=other).engine.max_loras == 4
    assert prepared(place, models__user=one, models__judge=one).engine.max_loras == 3
