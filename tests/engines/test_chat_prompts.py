"""Prompts through chat templates of several styles: nothing missing, one BOS, and they only ever grow at their end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import make_model

from influence.chat import Message, ToolCall, agent_view, user_view
from influence.engines.prompts import ChatTemplate
from influence.environments.loading import load_environment
from influence.environments.world import Situation, situation
from influence.errors import EngineError
from influence.judges.asking import AskingRules, first_person, third_person

BOOTH = "tests/fixtures/envs/booth"
QUESTIONS = ("How would you rate it?", "What happens next?", "Was it harmful?")
CALL = ToolCall("c12345678", "book", '{"train": "ICE 5"}')
TOOLS = [
    {
        "type": "function",
        "function": {"name": "book", "description": "Book a seat.", "parameters": {"type": "object", "properties": {}}},
    }
]
OPENINGS = {
    "one message": [Message("user", "What do they think?")],
    "several messages": [
        Message("user", "Hello"),
        Message("assistant", "Yes?"),
        Message("user", "I want a seat"),
        Message("user", "today"),
    ],
    "assistant first": [Message("assistant", "Welcome to the booth"), Message("user", "Thank you, I want to leave")],
    "system first": [Message("system", "It is late"), Message("user", "Is anybody there?")],
    "a tool has just answered": [
        Message("user", "Book the train"),
        Message("assistant", "I try", tool_calls=(CALL,)),
        Message("tool", "seat 12", tool_call_id=CALL.id),
    ],
}


@pytest.fixture(params=OPENINGS)
def opening(request) -> list[Message]:
    return OPENINGS[request.param]


@dataclass
class Played:
    """A conversation of three turns whose agent and user are sampled: what each was asked with, what it said, what judges saw."""

    agent: list[tuple[list[Message], Message]]
    user: list[tuple[list[Message], Message]]
    seen: list[list[Message]]


def play(model, opening) -> Played:
    """After the first reply the user speaks, after the second a note comes before the user, after the third a ticket is shown."""
    messages, played = list(opening), Played([], [], [])
    for injected in ([], [Message("system", "The bell rings")], [Message("user", "Here is my ticket")], []):
        n = len(played.seen)
        reply = model.reply(f"Reply {n}: they want the house")
        played.agent.append((agent_view("You are a clerk", messages), reply))
        messages.append(reply)
        played.seen.append(list(messages))
        messages += [replace(message, injected=True) for message in injected]
        if not injected or injected[0].role != "user":
            said = model.reply(f"I think it is {n}", "user")
            played.user.append((user_view("You are a traveller", "(You speak)", messages), said))
            messages.append(said)
    return played


@pytest.fixture(scope="module")
def booth() -> Situation:
    environment = load_environment(BOOTH)
    return situation(environment, environment.initial_states[0], seed=1)


def views(model, opening, booth) -> dict[str, list[list[Message]]]:
    """Every prompt of the conversation in each of the four chairs, in the order in which they are asked."""
    played, rules = play(model, opening), AskingRules()
    return {
        "agent": [prompt for prompt, _ in played.agent],
        "user": [prompt for prompt, _ in played.user],
        "third person": [third_person(booth, seen, question, rules) for seen in played.seen for question in QUESTIONS],
        "first person": [first_person("You are a traveller", "(You speak)", seen, q) for seen in played.seen for q in QUESTIONS],
    }


def test_one_bos_where_the_template_has_one_and_none_otherwise(model, opening, booth):
    for prompts in views(model, opening, booth).values():
        for prompt in prompts:
            ids = model.template.prompt_ids(prompt)
            if model.bos is None:
                assert model.tokenizer.bos_token is None
            else:
                assert ids[0] == model.bos
                assert ids.count(model.bos) == 1


def test_every_word_is_in_the_prompt(model, opening, booth):
    for prompts in views(model, opening, booth).values():
        for prompt in prompts:
            text = model.text(model.template.prompt_ids(prompt, TOOLS if prompt is prompts[0] else ()))
            for message in prompt:
                assert message.content in text
                assert all(call.name in text and "ICE 5" in text for call in message.tool_calls)
            assert ("Book a seat." in text) == (prompt is prompts[0])


@pytest.mark.parametrize("role", ["agent", "user"])
def test_the_next_prompt_begins_with_this_one_and_what_was_sampled(model, opening, role):
    asked = getattr(play(model, opening), role)
    for (prompt, reply), (following, _) in pairwise(asked):
        expected = [*model.template.prompt_ids(prompt), *reply.token_ids, model.end]
        assert model.template.prompt_ids(following)[: len(expected)] == expected


def test_sampled_ids_are_repeated_though_the_text_would_be_split_another_way(model):
    reply = model.reply("they think")
    assert reply.token_ids != tuple(model.tokenizer.encode(reply.content, add_special_tokens=False))
    ids = model.template.prompt_ids([Message("user", "so"), reply, Message("user", "well")])
    ending = [*reply.token_ids, model.end]
    assert any(ids[n : n + len(ending)] == ending for n in range(len(ids)))


def test_judges_of_one_reply_share_everything_but_the_question(model, opening, booth):
    for chair in ("third person", "first person"):
        prompts = views(model, opening, booth)[chair]
        for n in range(0, len(prompts), len(QUESTIONS)):
            ids = [model.template.prompt_ids(prompt) for prompt in prompts[n : n + len(QUESTIONS)]]
            own = [model.text(prompt[shared_length(ids) :]) for prompt in ids]
            for question, rest in zip(QUESTIONS, own, strict=True):
                assert rest.startswith(question[:1]) or question.startswith(rest[:3])
                assert len(rest) <= len(question) + 60  # the question and the template's closing words


def test_the_next_turns_judges_extend_this_turns_transcript(model, opening, booth):
    prompts = views(model, opening, booth)["third person"]
    for now, later in zip(prompts, prompts[len(QUESTIONS) :], strict=False):
        ids = [model.template.prompt_ids(prompt) for prompt in (now, later)]
        transcript = now[1].content.removesuffix(next(q for q in QUESTIONS if now[1].content.endswith(q))).rstrip()
        assert transcript in model.text(ids[0][: shared_length(ids) + 1])  # one token may span the border


def test_a_first_person_question_comes_after_what_the_user_was_shown_anyway(model, opening, booth):
    shown = views(model, opening, booth)
    user, judge = shown["user"][0], shown["first person"][0]
    ids = [model.template.prompt_ids(prompt) for prompt in (user, judge)]
    assert "Reply 0: they want the house" in model.text(ids[0][: shared_length(ids)])


def shared_length(prompts: list[list[int]]) -> int:
    return next((n for n, column in enumerate(zip(*prompts, strict=False)) if len(set(column)) > 1), min(map(len, prompts)))


def test_only_the_models_own_ids_are_repeated(model):
    """The user's ids may come from another tokenizer; so may those of an earlier reply that another model reads."""
    own = Message("assistant", "they think", token_ids=model.ids_as_sampled("they think"))
    plain = model.template.prompt_ids([Message("user", "so"), replace(own, token_ids=None), Message("user", "well")])
    another = replace(own, token_ids=(1, 2, 3))
    assert model.template.prompt_ids([Message("user", "so"), another, Message("user", "well")]) == plain
    from_user = Message("user", "well", token_ids=model.ids_as_sampled("well"))
    assert model.template.prompt_ids([Message("user", "so"), replace(own, token_ids=None), from_user]) == plain
    assert model.template.prompt_ids([Message("user", "so"), own, from_user]) != plain


def test_a_sampled_tool_call_is_repeated_as_it_was_sampled_and_shown_once(model):
    words = 'I try book {"train": "ICE 5"}'
    call = Message("assistant", words, tool_calls=(CALL,), token_ids=model.ids_as_sampled(words))
    before = [Message("user", "Book the train")]
    after = model.template.prompt_ids([*before, call, Message("tool", "seat 12", tool_call_id=CALL.id)])
    expected = [*model.template.prompt_ids(before), *call.token_ids, model.end]
    assert after[: len(expected)] == expected
    text = model.text(after)
    assert text.count("ICE 5") == 1
    assert "seat 12" in text


def test_calls_are_text_where_a_template_would_drop_the_words_beside_them():
    """It wants the roles in turn and shows a message's call in place of its words: told apart they would be out of turn."""
    strict = """{%- for m in messages if m.role != 'tool' -%}{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}
{{ raise_exception('out of turn') }}{%- endif -%}{%- endfor -%}{%- for m in messages -%}
{{ m.role + ':' + (m.tool_calls | tojson if m.tool_calls else m.content) }}{%- endfor -%}"""
    text = make_model("chatml", strict).template
    shown = make_model("chatml", strict).text(text.prompt_ids(OPENINGS["a tool has just answered"]))
    assert all(words in shown for words in ("Book the train", "I try", "ICE 5", "seat 12"))


def test_a_template_that_rewrites_earlier_replies_has_its_way():
    """It drops what stands before `Answer:` in earlier replies, so the sampled ids no longer say what it shows."""
    rewriting = """{%- for m in messages -%}{{ '<|im_start|>' + m.role + '\n' + m.content.split('Answer:')[-1][:8] + '<|im_end|>\n' }}
{%- endfor -%}{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"""
    model = make_model("chatml", rewriting)
    ids = model.template.prompt_ids([Message("user", "so"), model.reply("I think. Answer: ten"), Message("user", "hm")])
    assert (
        model.text(ids)
        == "<|im_start|>user\nso<|im_end|>\n<|im_start|>assistant\n ten<|im_end|>\n<|im_start|>user\nhm<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_conversation_that_the_template_refuses_is_one_failed_request():
    refusing = "{% if messages[0].content == 'no' %}{{ raise_exception('Not with me') }}{% endif %}{{ messages[0].content }}"
    with pytest.raises(EngineError, match="Not with me"):
        make_model("chatml", refusing).template.prompt_ids([Message("user", "no")])


def test_a_model_without_a_template_is_refused():
    class Bare:
        chat_template = None

    with pytest.raises(ValueError, match="no chat template"):
        ChatTemplate(Bare())


def test_what_was_encoded_once_is_not_encoded_again(model, monkeypatch):
    talk = [Message("user", "What do they think?"), model.reply("they think"), Message("user", "and you")]
    longer = [*talk, model.reply("I think"), Message("user", "thank you")]
    template = ChatTemplate(model.tokenizer)
    first = template.prompt_ids(talk)
    encoded = []
    encode = model.tokenizer.encode
    monkeypatch.setattr(model.tokenizer, "encode", lambda text, **how: encoded.append(text) or encode(text, **how))
    assert template.prompt_ids(talk) == first
    assert encoded == []
    template.prompt_ids(longer)
    assert len(encoded) == 1
    assert "thank you" in encoded[0]
    assert "and you" not in encoded[0]


@given(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=30).map(str.strip).filter(bool))
def test_any_text_comes_back_out_of_the_prompt(text):
    model = make_model("llama")
    ids = model.template.prompt_ids([Message("system", "frame"), Message("user", text), model.reply("so"), Message("user", text)])
    assert model.text(ids).count(text) >= 2
