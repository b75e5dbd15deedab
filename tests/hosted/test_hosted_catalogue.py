"""Prices and traits as data, because a wrong price misleads a budget and a wrong trait costs a request to every run."""

from __future__ import annotations

from datetime import date
from fnmatch import fnmatchcase
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from influence.config.places import read_toml
from influence.engines.base import Usage
from influence.engines.hosted.budget import Amount
from influence.engines.hosted.catalogue import Catalogue, CatalogueFile, Prices, Tokens, Traits, counted, most_of, usage_of
from influence.errors import ConfigError
from influence.resources import data_folders

SHIPPED = data_folders("presets")[-1] / "models" / "hosted.toml"
ENTRIES = CatalogueFile.model_validate(read_toml(SHIPPED)[0]).model
PRICES = Prices(3.0, 15.0, 0.3, 3.75, "2026-11-18")


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    """A catalogue whose shipped part is a file of the test's, and whose own part is another."""

    def make(shipped: str | None = None, own: str | None = None) -> Catalogue:
        monkeypatch.chdir(tmp_path)
        folder = tmp_path / "presets" / "models"
        folder.mkdir(parents=True, exist_ok=True)
        if shipped is not None:
            (folder / "hosted.toml").write_text("date = 2026-01-02\n" + shipped)
        if own is not None:
            (tmp_path / "own.toml").write_text(own)
        return Catalogue("own.toml" if own is not None else None)

    return make


def refused(catalogue, own: str) -> str:
    with pytest.raises(ConfigError) as error:
        catalogue(own=own)
    return str(error.value)


def entry(name: str, more: str = "") -> str:
    return f'[[model]]\nname = "{name}"\n{more}\n'


# which entry counts


def test_the_first_entry_that_fits_counts_as_a_whole(catalogue):
    known = catalogue(
        entry("openai/big-*", "input = 1\noutput = 2")
        + entry("openai/big-one", "input = 9\noutput = 9\nroom = 5")
        + entry("*/small?", "input = 3\noutput = 4")
    )
    assert known.prices("openai/big-one") == Prices(1, 2, 1, 1, "2026-01-02")
    assert known.traits("openai/big-one").room == 0
    assert known.prices("openai-api/here/small1").input == 3
    for unknown in ("openai/big", "OPENAI/big-one", "openai/small", "anthropic/other"):
        assert known.prices(unknown) is None


def test_ones_own_file_is_read_first_with_its_own_date(catalogue):
    own = "date = 2027-03-04\n" + entry("openai/a", "input = 7\noutput = 8") + entry("openai/b")
    known = catalogue("".join(entry(f"openai/{name}", "input = 1\noutput = 2\nroom = 9") for name in "abc"), own)
    assert known.prices("openai/a") == Prices(7, 8, 7, 7, "2027-03-04")
    assert (known.prices("openai/b"), known.traits("openai/b").room) == (None, 0)
    assert known.prices("openai/c") == Prices(1, 2, 1, 1, "2026-01-02")


def test_a_price_needs_both_ends_and_what_is_left_out_costs_as_input(catalogue):
    known = catalogue(
        entry("openai/half", "input = 1")
        + entry("openai/other", "output = 1")
        + entry("openai/full", "input = 4.0\noutput = 20\ncached_input = 0.5\ncache_write = 5")
        + entry("openai/free", "input = 0\noutput = 0")
    )
    assert known.prices("openai/half") is None
    assert known.prices("openai/other") is None
    assert known.prices("openai/full") == Prices(4, 20, 0.5, 5, "2026-01-02")
    assert known.prices("openai/free") == Prices(0, 0, 0, 0, "2026-01-02")


@pytest.mark.parametrize(
    ("model", "told"), [("openai/x", True), ("openai-api/here/x", True), ("openai-api/anthropic/x", True), ("anthropic/x", False)]
)
def test_traits_that_nobody_has_said_are_the_providers(catalogue, model, told):
    assert catalogue("").traits(model) == Traits(logprobs=told, structured=told, seed=told)
    assert catalogue(entry("*/x")).traits(model) == Traits(logprobs=told, structured=told, seed=told)


def test_traits_that_an_entry_says_count(catalogue):
    said = "logprobs = {0}\nstructured = {0}\nseed = {0}\ntemperature = false\nroom = 12\nrequest = {{ effort = 'low' }}"
    known = catalogue(entry("openai/x", said.format("false")) + entry("anthropic/x", said.format("true")))
    assert known.traits("openai/x") == Traits(False, False, False, False, 12, {"effort": "low"})
    assert known.traits("anthropic/x") == Traits(True, True, True, False, 12, {"effort": "low"})


def test_what_one_engine_learns_of_a_model_is_not_written_into_the_catalogue(catalogue):
    known = catalogue(entry("openai/x", "request = { effort = 'low' }"))
    traits = known.traits("openai/x")
    traits.dropped["seed"] = "unsupported"
    traits.request["more"] = 1
    assert not traits.takes("seed")
    assert traits.takes("temperature")
    assert known.traits("openai/x") == Traits(True, True, True, request={"effort": "low"})


# arithmetic


@pytest.mark.parametrize(
    ("tokens", "dollars"),
    [
        (Tokens(0, 0), 0.0),
        (Tokens(1_000_000, 0), 3.0),
        (Tokens(0, 1_000_000), 15.0),
        (Tokens(1_000_000, 0, cached=1_000_000), 0.3),
        (Tokens(1_000_000, 0, written=1_000_000), 3.75),
        (Tokens(1_000, 200, cached=600, written=300), (100 * 3 + 600 * 0.3 + 300 * 3.75 + 200 * 15) / 1e6),
    ],
)
def test_a_request_costs_its_tokens_each_at_its_price(tokens, dollars):
    assert PRICES.cost(tokens) == pytest.approx(dollars, abs=1e-12)
    assert usage_of(tokens, PRICES) == Usage(1, tokens.prompt, tokens.cached, tokens.completion, PRICES.cost(tokens))


price = st.floats(0, 1000)
counts = st.integers(0, 1_000_000)


@given(price, price, st.floats(0, 1), price, counts, counts, counts, counts)
def test_no_request_costs_more_than_the_most_that_it_can(fresh, output, discount, write, new, cached, written, completion):
    prices = Prices(fresh, output, fresh * discount, write, "")
    cost = prices.cost(Tokens(new + cached + written, completion, cached, written))
    most = most_of(new + cached + written, completion, prices)
    assert 0 <= cost <= most.cost * (1 + 1e-9)
    assert most.tokens == new + cached + written + completion


@given(*[st.integers(-20, 20)] * 4)
def test_counts_that_cannot_be_true_are_none_and_nothing_ever_costs_less_than_nothing(prompt, completion, cached, written):
    tokens = counted(prompt, completion, cached, written)
    possible = all(n >= 0 for n in (completion, cached, written, prompt - cached - written))
    assert tokens == (Tokens(prompt, completion, cached, written) if possible else None)
    assert usage_of(tokens, PRICES).cost >= 0
    assert usage_of(tokens, PRICES).unpriced == (not possible)


def test_a_model_without_a_price_is_counted_in_tokens_and_as_unpriced():
    assert usage_of(Tokens(10, 5, 4), None) == Usage(1, 10, 4, 5, 0.0, unpriced=1)
    assert most_of(10, 5, None) == Amount(0.0, 15)


def test_an_answer_without_a_count_is_unpriced_even_where_prices_are_known():
    assert usage_of(None, PRICES) == Usage(1, unpriced=1)


def test_a_model_that_is_free_is_not_unpriced():
    assert usage_of(Tokens(10, 5), Prices(0, 0, 0, 0, "")) == Usage(1, 10, 0, 5, 0.0, unpriced=0)


# files that cannot be used


def test_all_that_is_wrong_in_a_file_is_said_in_one_error_with_its_places(catalogue):
    words = refused(
        catalogue,
        entry("openai/x", 'input = -1\noutputs = 2\nroom = 1.5\nlogprobs = "yes"') + entry("openai/y", "cached_input = inf"),
    )
    for part in (
        "own.toml: the key `date` is missing.",
        "own.toml, line 3, `model.0.input`: found -1, but it should be greater than or equal to 0.",
        "own.toml, line 4, `model.0.outputs`: `outputs` is not a key here.\n    Did you mean `output`?",
        "own.toml, line 5, `model.0.room`: found 1.5",
        "own.toml, line 6, `model.0.logprobs`: found 'yes', but it should be true or false.",
        "own.toml, line 9, `model.1.cached_input`: found inf",
    ):
        assert part in words
    assert words.count("own.toml") == 6


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ('date = "2026-01-01"', "line 1, `date`: found '2026-01-01'"),
        ("date = 2026-01-01\n[[model]]\ninput = 1", "line 2, `model.0`: the key `name` is missing."),
        ("date = 2026-01-01\n[model]\nname = 'x'", "`model`: found {'name': 'x'}, but it should be a list."),
        ("date = 2026-01-01\n[[models]]\nname = 'x'", "Did you mean `model`?"),
        ("date = 2026-01-01\n[[model]]\nname = 'x'\nroom = -1", "line 4, `model.0.room`: found -1"),
        ("date = 2026-01-01\n[[model]]\nname = 'x'\nrequest = 'low'", "line 4, `model.0.request`: found 'low'"),
        ("date = = 1", "own.toml: this is not TOML"),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_place(catalogue, own, words):
    assert words in refused(catalogue, own)


@pytest.mark.parametrize("name", ["nowhere.toml", "folder", "no\0file", "n" * 5000])
def test_a_file_that_is_not_there_is_named(catalogue, tmp_path, name):
    catalogue()
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=r"hosted\.catalogue: there is no file"):
        Catalogue(name)


# the shipped file


def test_the_shipped_file_loads_and_prices_a_model_of_each_provider():
    known = Catalogue()
    assert known.prices("openai/gpt-4o-mini-2024-07-18").input == 0.15
    assert known.prices("anthropic/claude-haiku-4-5-20251001").output == 5.0
    assert known.prices("openai-api/here/gpt-4o") is None


def test_the_day_of_the_shipped_prices_is_one_on_which_such_models_existed():
    assert date(2026, 1, 1) <= CatalogueFile.model_validate(read_toml(SHIPPED)[0]).date <= date(2100, 1, 1)


@pytest.mark.parametrize("one", ENTRIES, ids=lambda one: one.name)
def test_every_shipped_entry_is_sane(one):
    provider, _, model = one.name.partition("/")
    assert provider in ("openai", "anthropic")
    assert model.strip("*")
    assert one.name.count("*") == one.name.endswith("*")
    assert one.source
    assert None not in (one.input, one.output)
    assert 0 < one.input < one.output < 1000
    assert one.cached_input is None or 0 < one.cached_input < one.input
    assert one.cache_write is None or one.input < one.cache_write < 2 * one.input
    assert all(isfinite(p) for p in (one.input, one.output))
    assert set(one.request) <= ({"reasoning_effort"} if provider == "openai" else {"output_config", "thinking"})
    if provider == "anthropic":
        assert one.cached_input is not None  # both have prices of their own there
        assert one.cache_write is not None
        assert not one.logprobs


@pytest.mark.parametrize("one", ENTRIES, ids=lambda one: one.name)
def test_every_shipped_entry_is_the_first_that_fits_the_models_it_is_for(one):
    for model in (one.name.removesuffix("*"), one.name.replace("*", "-20260101"), one.name.replace("*", "0")):
        assert next(entry for entry in ENTRIES if fnmatchcase(model, entry.name)) is one
