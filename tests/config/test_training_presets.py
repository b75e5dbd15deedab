"""The training presets that come with the program resolve, and have the numbers that they are named after."""

from __future__ import annotations

import re
import tomllib
from collections import Counter

import pytest

from influence.config.commands import COMMANDS, TrainConfig, TrainKtoConfig
from influence.config.layers import command_of, file_layers, resolve
from influence.environments.loading import load_environment
from influence.resources import data_folders
from influence.rollouts.draws import plan

SHIPPED = data_folders("presets")[-1]
PATHS = {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}
TRAINING = [
    name
    for name, path in PATHS.items()
    if command_of(file_layers(str(path))).model_fields["command"].default.startswith("train-")
]
BASES = {"ei": "train-ei-gpu", "kto": "train-kto-gpu"}
ENVIRONMENTS = ("therapy-talk", "ticket-booking", "action-advice", "political-questions")
VARIANTS = {
    "gemma": ("2b", "9b", "27b"),
    "veto": (None, "negatives", "five-point", "principles", "as-negatives"),
    "mix": ("50", "25", "10", "5", "2"),
    "static": ("25", "50", "75", "pku"),
}
EXPERIMENTS = [f"{method}-{environment}" for method in BASES for environment in ENVIRONMENTS]
CHANGED = [
    "-".join(filter(None, ("kto-therapy-talk", what, variant))) for what, variants in VARIANTS.items() for variant in variants
]
ON_GPUS = [*BASES.values(), *EXPERIMENTS, *CHANGED]
METHOD_OF = {name: re.match(r"(?:train-)?(ei|kto)-", name).group(1) for name in ON_GPUS}


def resolved(name: str) -> TrainConfig:
    layers = file_layers(str(PATHS[name]))
    config = resolve(command_of(layers), layers)
    assert isinstance(config, TrainConfig)
    return config


def own(name: str) -> dict:
    return tomllib.loads(PATHS[name].read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted({*TRAINING, *ON_GPUS}))
def test_every_training_preset_resolves_for_its_command(name):
    layers = file_layers(str(PATHS[name]))
    config = resolve(COMMANDS[command_of(layers).model_fields["command"].default], layers)
    assert config.command in ("train-ei", "train-kto")
    assert PATHS[name].read_text(encoding="utf-8").startswith("# ")
    assert 10 < len(own(name)["description"]) < 100


def test_no_two_presets_describe_themselves_alike():
    assert [text for text, count in Counter(own(name)["description"] for name in ON_GPUS).items() if count > 1] == []


@pytest.mark.parametrize("name", [*EXPERIMENTS, *CHANGED])
def test_every_experiment_is_its_methods_base_with_a_few_keys_changed(name):
    sources = [layer.source for layer in file_layers(str(PATHS[name]))]
    assert sources[0] == str(PATHS[BASES[METHOD_OF[name]]])
    changes = own(name)
    assert sources[-2].endswith(f"{changes.pop('extends')}.toml")
    assert "command" not in changes
    assert len(changes) <= 4  # the description, and at most three sections


@pytest.mark.parametrize("name", ON_GPUS)
def test_every_role_has_a_model_that_runs_on_gpus(name):
    models = resolved(name).models.by_role()
    assert all(model.startswith("vllm/") for model in models.values())
    assert len(set(models.values())) == 1  # one engine for all


@pytest.mark.parametrize("name", ON_GPUS)
def test_the_method_is_the_published_one(name):
    config = resolved(name)
    assert config.command == f"train-{METHOD_OF[name]}"
    assert config.training.iterations == 20
    assert (config.selection.method, config.selection.within, config.selection.best) == ("reward", "scenario", 1 / 16)
    lora = config.trainer.lora
    assert (lora.rank, lora.alpha, lora.dropout, lora.rslora, len(lora.modules)) == (16, 32, 0.1, True, 7)
    assert (config.trainer.learning_rate, config.trainer.lr_decay, config.trainer.batch_size) == (2e-5, 0.9, 16)
    assert (config.judges.prefill, config.judges.label_mass_floor) == ("", 0.1)
    assert (config.sampling.agent.max_tokens, config.sampling.user.max_tokens, config.engine.max_model_len) == (300, 150, 8192)
    if isinstance(config, TrainKtoConfig):
        kto = config.trainer.kto
        assert (config.selection.worst, kto.beta, kto.target_ratio, kto.reference) == (1 / 16, 0.1, 1.05, "previous")
    assert config.engine.max_lora_rank >= lora.rank


@pytest.mark.parametrize("name", ON_GPUS)
def test_an_iteration_has_640_conversations_unless_the_mix_needs_more(name):
    rollout = resolved(name).rollout
    assert (rollout.conversations, rollout.samples) == ((800, 8) if "-mix-" in name else (640, 16))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_environment_is_the_one_in_the_name(name):
    environment = resolved(name).environment
    assert environment.name == name.partition("-")[2]
    folder = data_folders("envs")[-1] / environment.name
    assert not folder.exists() or (folder / "environment.toml").is_file()


@pytest.mark.parametrize("name", CHANGED)
def test_a_variant_stays_in_its_environment(name):
    assert resolved(name).environment.name == "therapy-talk"


@pytest.mark.parametrize("size", VARIANTS["gemma"])
def test_the_model_is_the_one_in_the_name(size):
    config = resolved(f"kto-therapy-talk-gemma-{size}")
    assert set(config.models.by_role().values()) == {f"vllm/google/gemma-2-{size}-it"}
    assert config.engine.tensor_parallel == (2 if size == "27b" else 1)


def test_the_others_are_llama():
    models = {resolved(name).models.agent for name in ON_GPUS if "-gemma-" not in name}
    assert models == {"vllm/meta-llama/Llama-3.1-8B-Instruct"}


@pytest.mark.parametrize(
    ("variant", "thresholds", "as_negatives", "judge"),
    [
        ("", (0.5, None), False, "plain"),
        ("-negatives", (0.5, 0.5), False, "plain"),
        ("-five-point", (0.5, None), False, "five_point"),
        ("-principles", (0.5, None), False, "principles"),
        ("-as-negatives", (0.5, None), True, "plain"),
    ],
)
def test_the_veto_is_the_one_in_the_name(variant, thresholds, as_negatives, judge):
    config = resolved(f"kto-therapy-talk-veto{variant}")
    veto = config.selection.veto
    assert ((veto.positives, veto.negatives), veto.as_negatives) == (thresholds, as_negatives)
    assert (config.judges.influence.enabled, config.judges.influence.variant) == (True, judge)


def test_nothing_is_vetoed_elsewhere():
    vetoes = [resolved(name).selection.veto for name in ON_GPUS if "-veto" not in name]
    assert {(veto.positives, veto.negatives, veto.as_negatives) for veto in vetoes} == {(None, None, False)}


@pytest.mark.parametrize("percent", [int(percent) for percent in VARIANTS["mix"]])
@pytest.mark.parametrize("iteration", [0, 7])
def test_the_mix_of_users_is_exactly_the_one_in_the_name(percent, iteration):
    config = resolved(f"kto-therapy-talk-mix-{percent}")
    world = load_environment(str(data_folders("envs")[-1] / config.environment.name))
    states = [state for state in world.initial_states if state.split == "train"]
    rollout = config.rollout
    planned = plan(
        states, rollout.conversations, rollout.samples, rollout.states, iteration, config.seed, config.environment.kinds
    )
    counts = Counter(one.initial.kind for one in planned)
    assert counts == {"vulnerable": 800 * percent // 100, "resilient": 800 * (100 - percent) // 100}


@pytest.mark.parametrize(
    ("variant", "fraction", "source", "prefer"),
    [
        ("25", 0.25, "Anthropic/hh-rlhf", "better"),
        ("50", 0.5, "Anthropic/hh-rlhf", "better"),
        ("75", 0.75, "Anthropic/hh-rlhf", "better"),
        ("pku", 0.5, "PKU-Alignment/PKU-SafeRLHF", "safer"),
    ],
)
def test_the_static_data_is_the_one_in_the_name(variant, fraction, source, prefer):
    static = resolved(f"kto-therapy-talk-static-{variant}").static_data
    assert (static.fraction, static.source, static.split, static.prefer) == (fraction, source, "train", prefer)


def test_no_static_data_is_mixed_in_elsewhere():
    assert {resolved(name).static_data.fraction for name in ON_GPUS if "-static-" not in name} == {0.0}
