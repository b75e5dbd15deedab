"""The embedded model on vLLM: its numbers against transformers', its seeds, its prefix cache."""

from __future__ import annotations

import asyncio
from math import exp, log
from typing import Any

import pytest

from influence.chat import Message
from influence.engines.base import Call, Finish, Sampling
from influence.engines.embedded import model_folder
from influence.engines.labels import combine, trie
from influence.errors import ContextOverflowError
from tests.conftest import RealEngine

RATINGS = [str(n) for n in range(1, 11)]
QUESTION = [
    Message("system", "You read a chat between a user and an assistant. One question follows the chat."),
    Message(
        "user", "User: Is it far to the sea?\nAssistant: It is an hour by bus.\n\nHow does the user rate the reply, from 1 to 10?"
    ),
]


def call(seed: int = 1, session: str = "s") -> Call:
    return Call("preference", session, seed)


@pytest.fixture(scope="module")
def reference() -> Any:
    """The same weights under transformers, in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(model_folder()), dtype=torch.float32).eval()

    def next_logprobs(ids: list[int]) -> Any:
        with torch.inference_mode():
            return model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)

    return next_logprobs


def test_label_logprobs_are_those_of_transformers_also_for_ten(real: RealEngine, reference: Any) -> None:
    engine = real.engine
    answer = real.run(engine.label_logprobs(QUESTION, RATINGS, call(), prefill="Answer:"))
    prompt = [*engine.template.prompt_ids(QUESTION), *engine.template.text_ids("Answer: ")]
    tokens = {label: engine.template.text_ids(label) for label in RATINGS}
    assert tokens["10"] == (*tokens["1"], *engine.template.text_ids("0"))  # the case at hand: "1" begins "10"
    nodes = {node.prefix: reference([*prompt, *node.prefix]) for node in trie(tokens)}
    truth = combine(tokens, {node.prefix: {t: float(nodes[node.prefix][t]) for t in node.children} for node in trie(tokens)})
    for label in RATINGS:
        assert answer.logprobs[label] == pytest.approx(truth[label], abs=0.35), label  # bf16 against float32
    assert sum(map(exp, answer.logprobs.values())) == pytest.approx(sum(map(exp, truth.values())), abs=0.02)


def test_one_and_ten_share_the_probability_of_the_first_digit(real: RealEngine) -> None:
    first_digit = real.run(real.engine.label_logprobs(QUESTION, ["1", "2"], call(), prefill="Answer:"))
    both = real.run(real.engine.label_logprobs(QUESTION, RATINGS, call(), prefill="Answer:"))
    together = log(exp(both.logprobs["1"]) + exp(both.logprobs["10"]))
    assert together == pytest.approx(first_digit.logprobs["1"], abs=1e-4)


def test_labels_of_several_tokens_are_scored_as_sequences(real: RealEngine, reference: Any) -> None:
    labels = ["stay here", "stay away", "leave"]
    answer = real.run(real.engine.label_logprobs(QUESTION, labels, call()))
    prompt = real.engine.template.prompt_ids(QUESTION)
    for label in labels:
        ids, total = real.engine.template.text_ids(label), 0.0
        for depth in range(len(ids)):
            total += float(reference([*prompt, *ids[:depth]])[ids[depth]])
        assert answer.logprobs[label] == pytest.approx(total, abs=0.6), label


def test_label_logprobs_do_not_depend_on_the_company(real: RealEngine) -> None:
    async def in_company() -> Any:
        talk = [Message("user", "Tell me about the sea.")]
        others = [real.engine.generate(talk, Sampling(24), Call("agent", f"o{n}", n)) for n in range(12)]
        alone = real.engine.label_logprobs(QUESTION, RATINGS, call(), prefill="Answer:")
        return (await asyncio.gather(alone, *others))[0]

    alone = real.run(real.engine.label_logprobs(QUESTION, RATINGS, call(), prefill="Answer:"))
    together = real.run(in_company())
    for label in RATINGS:
        if label in ("1", "10"):  # read at a decoded token, which the engine computes a little differently when it is alone
            assert together.logprobs[label] == pytest.approx(alone.logprobs[label], abs=0.05)
        else:
            assert together.logprobs[label] == alone.logprobs[label]


def test_seeds_reach_the_sampler(real: RealEngine) -> None:
    async def twice(*seeds: int) -> list[str]:
        talk = [Message("user", "Write one sentence about a harbour.")]
        done = await asyncio.gather(
            *(real.engine.generate(talk, Sampling(24), Call("agent", f"s{n}", s)) for n, s in enumerate(seeds))
        )
        return [completion.text for completion in done]

    first, second = real.run(twice(1, 2, 3, 4)), real.run(twice(1, 2, 3, 4))
    assert first == second
    assert len(set(first)) == 4


def test_a_completion_keeps_its_tokens_and_says_why_it_ended(real: RealEngine) -> None:
    engine, talk = real.engine, [Message("user", "Say yes.")]
    done = real.run(engine.generate(talk, Sampling(200, temperature=0.0), call()))
    assert done.finish == Finish.STOP
    assert done.token_ids is not None
    assert done.content_ids == done.token_ids[:-1]
    cut = real.run(engine.generate(talk, Sampling(1, temperature=0.0), call()))
    assert cut.finish == Finish.LENGTH
    assert cut.token_ids == cut.content_ids == done.token_ids[:1]
    assert cut.usage.completion_tokens == 1


def test_the_next_prompt_repeats_the_sampled_tokens_and_finds_them_cached(real: RealEngine) -> None:
    engine = real.engine
    talk = [Message("system", "You are a guide."), Message("user", "Where is the old harbour, and how do I get there on foot?")]
    real.forget()
    done = real.run(engine.generate(talk, Sampling(80), call(3)))
    longer = [
        *talk,
        Message("assistant", done.text, token_ids=done.content_ids),
        Message("user", "And from there to the station?"),
    ]
    real.run(engine.generate(longer, Sampling(4), call(4)))
    first, second = real.calls
    known = [*first.prompt_ids, *(done.content_ids or ())]
    assert list(second.prompt_ids[: len(known)]) == known
    assert second.cached_tokens >= len(known) - 32  # whole blocks of 32


def test_a_prompt_that_leaves_no_room_is_refused_before_it_is_sent(real: RealEngine) -> None:
    with pytest.raises(ContextOverflowError):
        real.run(real.engine.generate([Message("user", "far " * 5000)], Sampling(10), call()))
