"""The lock-step baseline: the same conversations as older systems hold them, with transformers and barriers.

Every turn is five batched calls one after the other (agent, preference, transition, influence, user), each over all
conversations that are still alive, each encoding its whole prompt again; the user replies after the last turn too.
"""

from __future__ import annotations

import time
from typing import Any

from influence.chat import Message, agent_view, user_view
from influence.engines.embedded import model_folder
from influence.engines.prompts import ChatTemplate
from influence.environments.world import Situation, situation
from influence.judges.asking import third_person
from influence.rollouts.simulation import Simulation

BATCH = 64


class LockStep:
    """The embedded model under transformers, in the same precision as the engine's."""

    def __init__(self) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = str(model_folder())
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.tokenizer.padding_side = "left"
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
        self.template = ChatTemplate(self.tokenizer)
        self.generated = 0

    def hold(self, work: Simulation) -> float:
        """Hold all conversations; seconds."""
        started = time.perf_counter()
        for first in range(0, len(work.planned), BATCH):
            self._hold_batch(work, first)
        return time.perf_counter() - started

    def _hold_batch(self, work: Simulation, first: int) -> None:
        planned = work.planned[first : first + BATCH]
        here = [situation(work.environment, p.initial, p.seed) for p in planned]
        talks = [list(h.opening) for h in here]
        alive = list(range(len(here)))
        for _ in range(work.rules.turn_limit):
            replies = self._write(
                [agent_view(here[n].agent_system, talks[n]) for n in alive], work.rules.agent_sampling.max_tokens
            )
            for n, text in zip(alive, replies, strict=True):
                talks[n].append(Message("assistant", text))
            for question in ("preference", "influence", "transition"):
                answers = self._read([self._question(question, here[n], talks[n], work) for n in alive], question)
            replies = self._write(
                [user_view(here[n].user_system, here[n].user_cue, talks[n]) for n in alive], work.rules.user_sampling.max_tokens
            )
            for n, text in zip(alive, replies, strict=True):
                talks[n].append(Message("user", text))
            alive = [n for n, stays in zip(alive, answers, strict=True) if stays]
            if not alive:
                return

    def _question(self, name: str, here: Situation, talk: list[Message], work: Simulation) -> list[Message]:
        judges, state = here.world.judges, here.world.states[here.world.start]
        wording = {"preference": judges.preference, "influence": judges.influence.plain, "transition": state}[name]
        return third_person(here, talk, here.question(wording, first_person=False), work.rules.asking)

    def _batch(self, views: list[list[Message]], suffix: str = "") -> Any:
        ids = [[*self.template.prompt_ids(view), *self.template.text_ids(suffix)] for view in views]
        return self.tokenizer.pad({"input_ids": ids}, return_tensors="pt")

    def _write(self, views: list[list[Message]], max_tokens: int) -> list[str]:
        import torch

        batch = self._batch(views)
        with torch.inference_mode():
            out = self.model.generate(**batch, max_new_tokens=max_tokens, do_sample=True, temperature=1.0, top_k=0)
        new = out[:, batch["input_ids"].shape[1] :]
        self.generated += int((new != self.tokenizer.pad_token_id).sum())
        return list(self.tokenizer.batch_decode(new, skip_special_tokens=True))

    def _read(self, views: list[list[Message]], question: str) -> list[bool]:
        """One forward pass each; for transitions, whether the likeliest label is to stay."""
        import torch

        batch = self._batch(views, "Answer:")
        with torch.inference_mode():
            logits = self.model(**batch, logits_to_keep=1).logits[:, -1]
        stay, leave = (self.template.text_ids(f"Answer: {label}")[-1] for label in ("stay", "leave"))
        return [question != "transition" or bool(row[stay] >= row[leave]) for row in logits]
