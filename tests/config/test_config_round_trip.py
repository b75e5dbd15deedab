"""A resolved configuration, written as TOML and read again, is the same configuration, whatever its texts hold."""

from __future__ import annotations

import tomllib

from hypothesis import example, given, settings
from hypothesis import strategies as st

from influence.config.commands import SimulateConfig
from influence.config.layers import Layer, as_toml, resolve

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    [
        '"',
        "'",
        "\\",
        "\\x41",
        "\\\\x",
        'C:\\new\\"x"',
        "a\nb\r\nc\t",
        '"""',
        "'''",
        "\x00\x7f\x1b[0m",
        "🙂\u2028",
        "[a]\nb = 1",
        "# no",
    ]
)
SHARE = st.floats(0, 1, allow_subnormal=True)


def settings_of(**keys):
    return st.fixed_dictionaries({}, optional=keys)


SAMPLING = settings_of(
    temperature=st.floats(0, 5),
    top_p=st.floats(0, 1, exclude_min=True),
    top_k=st.integers(0, 10**18),
    min_p=SHARE,
    max_tokens=st.integers(1, 4095),
)
PERSPECTIVE = st.sampled_from(["third_person", "first_person"])
CONFIGS = settings_of(
    command=st.just("simulate"),
    description=TEXT,
    seed=st.integers(0, 2**63 - 1),
    run=settings_of(out=TEXT, name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,30}", fullmatch=True)),
    tracking=settings_of(wandb=st.sampled_from(["off", "offline", "online"]), project=TEXT, log_calls=st.booleans()),
    environment=settings_of(
        name=TEXT,
        scenarios=st.lists(TEXT, max_size=4),
        kinds=st.just({}) | SHARE.map(lambda share: {"vulnerable": share, "very-resilient_2": 1 - share}),
        split=st.sampled_from(["train", "heldout", "all"]),
    ),
    models=settings_of(agent=TEXT.map("scripted/x".__add__), judge=st.just("embedded"), preference=TEXT.map("openai/x".__add__)),
    sampling=settings_of(agent=SAMPLING, user=SAMPLING),
    judges=settings_of(
        preference=settings_of(perspective=PERSPECTIVE, scope=st.sampled_from(["turn", "conversation"])),
        influence=settings_of(enabled=st.booleans(), variant=st.sampled_from(["plain", "five_point", "principles"])),
        label_mass_floor=SHARE,
        prefill=TEXT,
        samples=st.integers(1, 100),
    ),
    rollout=settings_of(
        conversations=st.integers(10, 10**9), samples=st.integers(1, 10), turns=st.integers(1, 99), max_failed=SHARE
    ),
    reward=settings_of(length_penalty=st.floats(0, allow_infinity=False)),
    engine=settings_of(
        gpus=st.lists(st.integers(0, 99), unique=True, max_size=8),
        kv_cache_gb=st.floats(0, 1e300, exclude_min=True),
        block_size=st.sampled_from([16, 32, 64, 128]),
        quantization=TEXT,
    ),
)


def again(config: SimulateConfig) -> SimulateConfig:
    text = as_toml(config)
    return resolve(SimulateConfig, [Layer("config.toml", tomllib.loads(text), text)])


@given(CONFIGS)
@settings(max_examples=250, deadline=None)
def test_written_and_read_again_it_is_the_same(data):
    config = resolve(SimulateConfig, [Layer("some.toml", data)])
    assert again(config) == config
    assert as_toml(again(config)) == as_toml(config)


@settings(deadline=None)
@given(TEXT)
@example("\\")
@example("ends in \\x")
def test_a_text_comes_back_as_it_was(text):
    assert again(SimulateConfig(description=text)).description == text


def test_what_the_file_says_is_readable():
    text = as_toml(SimulateConfig(description='Größe "XL"'))
    assert 'description = "Größe \\"XL\\""\n' in text
    assert "\n[rollout]\nconversations = 32\nsamples = 1\n" in text
    assert "turns" not in text  # what is none is chosen later, and TOML has no word for it
