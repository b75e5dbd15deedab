"""LoRA on vLLM's CPU engine at nearly the base model's speed, and only for the requests that ask for it.

vLLM's fallback gathers a copy of the adapter's matrices for every token and, for tokens without an adapter, those of the
last slot (vllm pull request 48421): slow, and wrong for judges that share a batch with the agent. Here each adapter in
the batch is two matrix products over its own rows. The fork server imports this module, so engine processes have it.
"""

from __future__ import annotations

from typing import Any

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

Rows = list[tuple[int, torch.Tensor | None]]  # each adapter's slot and the rows of the batch that are its own; None: all


class RowwiseLora(PunicaWrapperCPU):  # type: ignore[misc]  # vLLM is not checked
    """The adapters of a batch, applied to their own rows. `_rows` is worked out once a step, for all layers."""

    _rows: Rows = []

    def update_metadata(self, *arguments: Any, **named: Any) -> None:
        super().update_metadata(*arguments, **named)
        self._rows = rows_by_slot(self.token_lora_indices)

    def add_lora_linear(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: tuple[torch.Tensor, ...],
        lora_b_stacked: tuple[torch.Tensor, ...],
        scale: float,
        output_slices: tuple[int, ...],
        **_: Any,
    ) -> None:
        """y += scale * (x A) B for the rows of each adapter, slice by slice.

        x and y are (tokens, features), or have more leading dimensions; A is stacked as (slots, 1, rank, in), B as
        (slots, 1, out, rank). Products are in the model's type, as its own layers are.
        """
        inputs, outputs = x.view(-1, x.shape[-1]), y.view(-1, y.shape[-1])
        for slot, rows in self._rows:
            mine = inputs if rows is None else inputs[rows]
            added = [
                (mine @ a[slot, 0].T).mul_(scale) @ b[slot, 0].T for a, b in zip(lora_a_stacked, lora_b_stacked, strict=True)
            ]
            start = 0
            for part, width in zip(added, output_slices, strict=True):
                target = outputs[:, start : start + width]
                if rows is None:
                    target += part[:, :width]
                else:
                    target.index_add_(0, rows, part[:, :width])
                start += width


def rows_by_slot(slots: torch.Tensor) -> Rows:
    """Each slot in use with the positions that use it. `slots` has one number a token, -1 for none."""
    used = [int(slot) for slot in torch.unique(slots) if slot >= 0]
    if len(used) == 1 and bool((slots == used[0]).all()):
        return [(used[0], None)]
    return [(slot, (slots == slot).nonzero(as_tuple=True)[0]) for slot in used]


def install() -> None:
    """Have vLLM use it. Raises AttributeError for a vLLM that chooses its kernels another way."""
    from vllm.platforms.cpu import CpuPlatform

    if not hasattr(CpuPlatform, "get_punica_wrapper"):
        raise AttributeError("this version of vLLM chooses its LoRA kernels another way")
    CpuPlatform.get_punica_wrapper = classmethod(lambda _: f"{__name__}.{RowwiseLora.__name__}")


install()
