"""Model names say where a role's tokens come from; what is no name is refused with the allowed spellings."""

from __future__ import annotations

import pytest

from influence.config.model_names import SPELLINGS, ModelName, parse_model_name
from influence.config.sections import ModelsSection


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("embedded", ModelName("embedded", "")),
        ("embedded:runs/a/adapter", ModelName("embedded", "", "runs/a/adapter")),
        ("embedded:/runs/a:b", ModelName("embedded", "", "/runs/a:b")),
        ("vllm/org/model", ModelName("vllm", "org/model")),
        ("vllm//models/here:/adapters/3", ModelName("vllm", "/models/here", "/adapters/3")),
        ("scripted//tmp/a.toml", ModelName("scripted", "/tmp/a.toml")),
        ("openai/gpt", ModelName("openai", "gpt")),
        ("anthropic/claude", ModelName("anthropic", "claude")),
        ("openai-api/here/org/model:tag", ModelName("openai-api", "here/org/model:tag")),
    ],
)
def test_a_name_is_taken_apart(text, name):
    assert parse_model_name(text) == name


@pytest.mark.parametrize("text", ["", "gpt", "openai-", "Embedded", "vlm/org/model", " vllm/x"])
def test_a_scheme_that_is_none(text):
    with pytest.raises(ValueError, match="is no model name") as raised:
        parse_model_name(text)
    assert str(raised.value).endswith(f"Allowed: {SPELLINGS}.")


@pytest.mark.parametrize(
    ("text", "near"), [("vlm/org/model", "vllm"), ("antropic/claude", "anthropic"), ("openai_api/x/y", "openai-api")]
)
def test_the_nearest_scheme(text, near):
    with pytest.raises(ValueError, match=f"Did you mean `{near}`?"):
        parse_model_name(text)


@pytest.mark.parametrize("text", ["vllm", "vllm/", "vllm/:a", "vllm/m:", "scripted/", "openai", "openai-api/x", "openai-api//y"])
def test_a_name_with_nothing_behind_its_scheme(text):
    with pytest.raises(ValueError, match=f"^'{text}' is incomplete. Allowed: "):
        parse_model_name(text)


@pytest.mark.parametrize("text", ["embedded:", "embedded/", "embedded/x", "embedded/x:y"])
def test_the_embedded_model_has_no_other_name(text):
    with pytest.raises(ValueError, match="Write `embedded`, or `embedded:<adapter folder>`"):
        parse_model_name(text)


def test_a_judge_without_a_model_of_its_own_takes_the_judges():
    models = ModelsSection(agent="openai/a", user="openai/u", judge="openai/j", transition="openai/t")
    assert models.by_role() == {
        "agent": "openai/a",
        "user": "openai/u",
        "preference": "openai/j",
        "transition": "openai/t",
        "influence": "openai/j",
    }
