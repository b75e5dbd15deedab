"""Putting a question to a judge: the prompt in either perspective, and the way that the judge's engine allows.

Third person: a frame that all judges share, the transcript, the judge's own question, so that the three prompts about one
reply share everything but their last line. First person: the question is put to the simulated user at the end of its own
context, which has been computed anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from influence.chat import Message, user_view
from influence.engines.base import Call, Completion, Finish, Sampling, Usage
from influence.engines.opening import RoleModel
from influence.environments.world import Situation
from influence.errors import ContextOverflowError, InfluenceError, NoLogprobsError, RunStoppedError
from influence.judges.scores import Method, Score, from_logprobs, from_samples, from_stated, missing
from influence.judges.transcript import transcript
from influence.seeds import derive

ANSWER_TOKENS = 12  # room for a sampled answer, which is read for the label it names


@dataclass(frozen=True, slots=True)
class AskingRules:
    """How judges are asked, the same for all of them in a run."""

    method: str = "auto"
    samples: int = 5
    label_mass_floor: float = 0.01
    hidden_ceiling: float = 0.05
    prefill: str = ""  # how a judge's answer is made to begin, where log-probabilities are read
    see_tool_calls: bool = True


def method_for(model: RoleModel, rules: AskingRules) -> Method:
    """What the configuration says; by itself, log-probabilities where the engine has them, samples where not."""
    if rules.method == "stated":
        return "stated"
    return "samples" if rules.method == "samples" or not model.engine.capabilities.logprobs else "logprobs"


def third_person(situation: Situation, messages: Sequence[Message], question: str, rules: AskingRules) -> list[Message]:
    """The shared frame, the transcript, the question."""
    judges = situation.world.judges
    text = transcript(messages, situation.text(judges.user_label), situation.text(judges.agent_label), rules.see_tool_calls)
    return [Message("system", situation.judge_frame), Message("user", f"{text}\n{question}")]


def first_person(user_system: str, cue: str, messages: Sequence[Message], question: str) -> list[Message]:
    """The simulated user's own context, and the question as the next thing said to it."""
    return [*user_view(user_system, cue, messages), Message("user", question)]


async def ask(
    model: RoleModel, prompt: Sequence[Message], labels: Mapping[str, float] | Sequence[str], call: Call, rules: AskingRules
) -> tuple[Score, Usage]:
    """One question. `labels` maps each label to its value, or only names them.

    A request that fails makes a missing score, not a failed conversation; only what ends the whole run is passed on.
    """
    names = list(labels)
    values = labels if isinstance(labels, Mapping) else None
    method = method_for(model, rules)
    try:
        if method == "logprobs":
            try:
                return await _read(model, prompt, names, values, call, rules)
            except NoLogprobsError as error:
                if rules.method == "logprobs":
                    raise RunStoppedError(str(error)) from None
                method = method_for(model, rules)  # the engine knows now; the record will name what was done
        return await _draw(model, prompt, names, values, call, rules, method)
    except RunStoppedError:
        raise
    except InfluenceError as error:
        return missing(_why(error), method), Usage()


async def _read(
    model: RoleModel,
    prompt: Sequence[Message],
    names: list[str],
    values: Mapping[str, float] | None,
    call: Call,
    rules: AskingRules,
) -> tuple[Score, Usage]:
    """The labels' probabilities as the engine tells them."""
    answer = await model.engine.label_logprobs(prompt, names, call, model.adapter, rules.prefill)
    floor, ceiling = rules.label_mass_floor, rules.hidden_ceiling
    return from_logprobs(answer.logprobs, values, floor, answer.at_most, answer.hidden, ceiling), answer.usage


async def _draw(
    model: RoleModel,
    prompt: Sequence[Message],
    names: list[str],
    values: Mapping[str, float] | None,
    call: Call,
    rules: AskingRules,
    method: Method,
) -> tuple[Score, Usage]:
    """Answers in words: several at temperature 1 that are counted, or a single one at temperature 0 that is believed."""
    choices = tuple(names) if model.engine.capabilities.structured_output else ()
    stated = method == "stated"
    sampling = Sampling(max_tokens=ANSWER_TOKENS, temperature=0.0 if stated else 1.0, choices=choices)
    calls = [replace(call, seed=derive(call.seed, "sample", n)) for n in range(1 if stated else rules.samples)]
    tries = (model.engine.generate(prompt, sampling, one, model.adapter) for one in calls)
    drawn = await asyncio.gather(*tries, return_exceptions=True)
    for result in drawn:  # an end of the run before anything else
        if isinstance(result, BaseException) and not _is_forgiven(result):
            raise result
    answers = [result for result in drawn if isinstance(result, Completion)]
    usage = sum((answer.usage for answer in answers), Usage())
    failures = [_why(result) for result in drawn if isinstance(result, InfluenceError)]
    failures += ["the provider refused" for answer in answers if answer.finish == Finish.REFUSED]
    texts = [answer.text for answer in answers if answer.finish != Finish.REFUSED]
    if not texts:
        return missing(failures[0], method), usage
    return from_stated(texts[0], values, names) if stated else from_samples(texts, values, names, rules.label_mass_floor), usage


def _is_forgiven(error: BaseException) -> bool:
    return isinstance(error, InfluenceError) and not isinstance(error, RunStoppedError)


def _why(error: InfluenceError) -> str:
    return f"no room to ask: {error}" if isinstance(error, ContextOverflowError) else f"the request failed: {error}"
