"""How well calls share their prefixes: tokens computed against the least that any engine must compute.

The least is the size of the prefix tree over all prompts, without what some call had generated before: a token that stands
at the end of a known prefix need not be computed twice, whoever wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class PrefixTree:
    """The tree over calls that are added one by one. A node is known by a hash of the adapter and all tokens up to it."""

    computed: int = 0
    prompt_tokens: int = 0
    _read: set[int] = field(default_factory=set)
    _written: set[int] = field(default_factory=set)

    def add(self, prompt: Sequence[int], output: Sequence[int], cached: int, adapter: str | None = None) -> None:
        self.prompt_tokens += len(prompt)
        self.computed += len(prompt) - cached
        node = hash(adapter)
        for token in prompt:
            node = hash((node, token))
            self._read.add(node)
        for token in output[:-1]:  # the last sampled token has not been through the model
            node = hash((node, token))
            self._written.add(node)

    @property
    def least(self) -> int:
        return len(self._read - self._written)

    @property
    def ratio(self) -> float | None:
        """Computed prompt tokens per token that had to be: 1.0 is perfect."""
        return self.computed / self.least if self.least else None


def tree_of(calls: Path) -> PrefixTree:
    """The prefix tree of a run's `calls.jsonl`."""
    tree = PrefixTree()
    for record in read_calls(calls):
        if "request" not in record:  # what a provider computes is its own affair
            tree.add(record["prompt_ids"], record["output_ids"], record["cached_tokens"], record["adapter"])
    return tree


def read_calls(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a `calls.jsonl`; a torn last line is left out."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)
