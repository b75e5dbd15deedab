"""Small real tokenizers, each with one of the chat templates that stand in tests/fixtures/templates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from influence.chat import Message
from influence.engines.prompts import ChatTemplate

TEMPLATES = Path(__file__).parent.parent / "fixtures" / "templates"
CHATML = ("<|im_start|>", "<|im_end|>")
LLAMA = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
SPECIALS = {
    "chatml": CHATML,
    "tools": CHATML,
    "llama": LLAMA,
    "single_calls": LLAMA,
    "gemma": ("<bos>", "<start_of_turn>", "<end_of_turn>"),
}
BOS = {"llama": "<|begin_of_text|>", "single_calls": "<|begin_of_text|>", "gemma": "<bos>"}
END = {
    "chatml": "<|im_end|>",
    "tools": "<|im_end|>",
    "llama": "<|eot_id|>",
    "single_calls": "<|eot_id|>",
    "gemma": "<end_of_turn>",
}
STYLES = tuple(SPECIALS)
CORPUS = ["I want to leave the house and tell them what they think.", "user assistant system model", "the rating is 10 of 10"] * 3


@dataclass(frozen=True)
class Model:
    """A tokenizer, its chat template, and what a test wants to know of both."""

    style: str
    tokenizer: Any
    template: ChatTemplate

    @property
    def bos(self) -> int | None:
        return self.tokenizer.convert_tokens_to_ids(BOS[self.style]) if self.style in BOS else None

    @property
    def end(self) -> int:
        return self.tokenizer.convert_tokens_to_ids(END[self.style])

    @property
    def special_ids(self) -> set[int]:
        return {self.tokenizer.convert_tokens_to_ids(token) for token in SPECIALS[self.style]}

    def text(self, ids: Any) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False)

    def specials_in(self, ids: Any) -> list[int]:
        return [token for token in ids if token in self.special_ids]

    def ids_as_sampled(self, text: str) -> tuple[int, ...]:
        """Ids that say `text`, but not those that encoding the text gives: one token a character, as a sampler may choose."""
        return tuple(i for character in text for i in self.tokenizer.encode(character, add_special_tokens=False))

    def reply(self, text: str, role: str = "assistant") -> Message:
        return Message(role, text, token_ids=self.ids_as_sampled(text))  # type: ignore[arg-type]


@lru_cache
def make_model(style: str, template: str | None = None) -> Model:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=360, initial_alphabet=alphabet, show_progress=False))
    backend.add_special_tokens([AddedToken(token, special=True) for token in SPECIALS[style]])
    if style in BOS:  # what `add_special_tokens` would put in front, though the template has its own
        first = (BOS[style], backend.token_to_id(BOS[style]))
        backend.post_processor = processors.TemplateProcessing(single=f"{BOS[style]} $A", special_tokens=[first])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=BOS.get(style), eos_token=END[style])
    tokenizer.chat_template = template or (TEMPLATES / f"{style}.jinja").read_text()
    return Model(style, tokenizer, ChatTemplate(tokenizer))
