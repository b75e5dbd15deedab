"""Defaults < what a preset extends < preset < --set < options; and nothing gets lost when tables are merged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from influence.cli.options import option_layers, parse_gpus
from influence.config.commands import SimulateConfig
from influence.config.layers import Layer, file_layers, merge, nested, resolve, set_layer
from influence.errors import ConfigError

NAMES = ("the base", "the preset", "--set", "--conversations")


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(2, 10**6), min_size=4, max_size=4))
def test_the_last_layer_that_says_something_wins(values):
    layers = [
        Layer(name, nested(("rollout", "conversations"), v)) for name, v in zip(NAMES, values, strict=True) if v is not None
    ]
    said = [value for value in values if value is not None]
    assert resolve(SimulateConfig, layers).rollout.conversations == (said[-1] if said else 32)


def test_the_whole_order_from_files_to_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "base.toml").write_text(
        "seed = 1\n[rollout]\nturns = 1\nsamples = 1\nconversations = 10\niteration = 1\n"
    )
    (tmp_path / "presets" / "mine.toml").write_text('extends = "base"\n[rollout]\nturns = 2\nsamples = 2\niteration = 2\n')
    layers = [*file_layers("mine"), set_layer("rollout.turns=3"), set_layer("rollout.samples=3")]
    layers += option_layers([("--turns", "rollout.turns", 4), ("--seed", "seed", None)])
    config = resolve(SimulateConfig, layers)
    assert (config.rollout.turns, config.rollout.samples, config.rollout.iteration) == (4, 3, 2)
    assert (config.rollout.conversations, config.seed, config.rollout.max_failed) == (10, 1, 0.1)


def test_a_parent_is_looked_for_beside_the_file_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "base.toml").write_text("seed = 1")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "base.toml").write_text("seed = 2")
    for parent, seed in (("base", 2), ("base.toml", 2), ("../presets/base", 1), ("../presets/base.toml", 1)):
        (tmp_path / "mine" / "my.toml").write_text(f'extends = "{parent}"')
        assert resolve(SimulateConfig, file_layers("mine/my.toml")).seed == seed


def test_the_working_folders_presets_come_before_the_shipped_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve(SimulateConfig, file_layers("simulate")).rollout.conversations == 64
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "simulate.toml").write_text("[rollout]\nconversations = 5")
    assert resolve(SimulateConfig, file_layers("simulate")).rollout.conversations == 5


def test_shares_are_one_value_that_no_lower_layer_adds_to():
    layers = [Layer("preset", {"environment": {"kinds": {"calm": 0.5, "hurried": 0.5}}}), set_layer("environment.kinds.calm=1.0")]
    assert resolve(SimulateConfig, layers).environment.kinds == {"calm": 1.0}


TREES = st.recursive(st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner), max_leaves=8)
TABLES = st.dictionaries(st.sampled_from("abc"), TREES)


@settings(deadline=None)
@given(TABLES, TABLES)
def test_merging_keeps_every_value_of_the_upper_and_what_it_leaves_free_of_the_lower(below, above):
    merged = merge(below, above)
    assert merged.keys() == below.keys() | above.keys()
    for key, value in merged.items():
        low, high = below.get(key), above.get(key, below.get(key))
        both = isinstance(low, dict) and isinstance(high, dict) and key in above
        assert value == (merge(low, high) if both else high)


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("rollout.turns=3", 3),
        ("rollout.turns = 3 ", 3),
        ("rollout.turns=1_000", 1000),
        ("rollout.turns=three", "three"),
        ('rollout.turns="3"', "3"),
        ("rollout.turns=[1, 2]", [1, 2]),
        ("rollout.turns={a = 1}", {"a": 1}),
        ("rollout.turns=", ""),
        ("rollout.turns=a=b", "a=b"),
        ("rollout.turns=0.5", 0.5),
        ("rollout.turns=false", False),
        ("rollout.turns=1\nseed = 2", "1\nseed = 2"),
        ("rollout.turns=vllm/org/model", "vllm/org/model"),
    ],
)
def test_the_value_of_set_is_toml_or_else_a_text(assignment, value):
    assert set_layer(assignment) == Layer("--set", {"rollout": {"turns": value}})


@pytest.mark.parametrize(("text", "gpus"), [("0,1", [0, 1]), (" 2 , 0", [2, 0]), ("none", []), ("CPU", []), ("", [])])
def test_the_list_of_gpus(text, gpus):
    assert parse_gpus(text) == gpus


@pytest.mark.parametrize("text", ["a", "0,", "0 1", "0-3", "1.5", "all"])
def test_a_list_of_gpus_that_is_none(text):
    with pytest.raises(ConfigError, match="write device numbers with commas"):
        parse_gpus(text)


def test_a_wrong_value_is_reported_even_where_a_later_layer_replaces_it():
    layers = [Layer("preset", {"rollout": {"turns": "two"}}), set_layer("rollout.turns=2")]
    with pytest.raises(ConfigError, match=r"^preset, `rollout\.turns`: found .two., but it should be a whole number\.$"):
        resolve(SimulateConfig, layers)


def test_a_preset_of_another_command_is_refused(monkeypatch):
    monkeypatch.setitem(__import__("influence.config.layers", fromlist=["x"]).COMMANDS, "train", SimulateConfig)
    with pytest.raises(ConfigError) as raised:
        resolve(SimulateConfig, [Layer("a.toml", {"command": "train"}, 'command = "train"')])
    assert str(raised.value) == "a.toml, line 1, `command`: this file is for `influence train`, not for `influence simulate`."
