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
from influence.engines.base import Call, Sampling, Usage
from influence.engines.opening import RoleModel
from influence.environments.world import Situation
from influence.errors import ContextOverflowError, EngineDiedError, InfluenceError
from influence.judges.scores import Method, Score, from_logprobs, from_samples, missing
from influence.judges.transcript import transcript
from influence.seeds import derive

ANSWER_TOKENS = 12  # room for a sampled answer, which is read for the label it names


@dataclass(frozen=True, slots=True)
class AskingRules:
    """How judges are asked, the same for all of them in a run."""

    method: str = "auto"
    samples: int = 5
    label_mass_floor: float = 0.01
    prefill: str = ""  # how a judge's answer is made to begin, where log-probabilities are read
    see_tool_calls: bool = True


def method_for(model: RoleModel, rules: AskingRules) -> Method:
    """Log-probabilities where the engine has them, samples where not."""
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

    A request that fails makes a missing score, not a failed conversation; only an engine's death is passed on.
    """
    names = list(labels)
    values = labels if isinstance(labels, Mapping) else None
    method = method_for(model, rules)
    try:
        if method == "logprobs":
            answer = await model.engine.label_logprobs(prompt, names, call, model.adapter, rules.prefill)
            return from_logprobs(answer.logprobs, values, rules.label_mass_floor), answer.usage
        sampling = Sampling(max_tokens=ANSWER_TOKENS)
        drawn = await asyncio.gather(
            *(
                model.engine.generate(prompt, sampling, replace(call, seed=derive(call.seed, "sample", n)), model.adapter)
                for n in range(rules.samples)
            )
        )
        usage = sum((completion.usage for completion in drawn), Usage())
        return from_samples([completion.text for completion in drawn], values, names, rules.label_mass_floor), usage
    except EngineDiedError:
        raise
    except ContextOverflowError as error:
        return missing(f"no room to ask: {error}", method), Usage()
    except InfluenceError as error:
        return missing(f"the request failed: {error}", method), Usage()
